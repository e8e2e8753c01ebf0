// Metrics in Prometheus' text form, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). Pure.
import type { Distribution, Metric, Sample } from '../sys/counters.ts'

export const prometheusText = (metrics: readonly Metric[]): string => metrics.map(metricText).join('')

function metricText(metric: Metric): string {
  const { name, help, type } = metric
  const head = [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`]
  const samples =
    metric.type === 'histogram'
      ? metric.samples.flatMap((sample) => distributionLines(name, sample))
      : metric.samples.map(({ labels, value }) => line(name, labels, value))
  return `${[...head, ...samples].join('\n')}\n`
}

function distributionLines(name: string, { labels, buckets, count, sum }: Distribution): string[] {
  const bucket = (le: number, n: number) => line(`${name}_bucket`, { ...labels, le: number(le) }, n)
  return [
    ...buckets.map(({ atMost, count: n }) => bucket(atMost, n)),
    bucket(Infinity, count),
    line(`${name}_sum`, labels, sum),
    line(`${name}_count`, labels, count),
  ]
}

function line(name: string, labels: Sample['labels'], value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`)
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${number(value)}`
}

/** As Go's strconv.ParseFloat reads it. */
const number = (value: number): string =>
  Number.isFinite(value) ? `${value}` : value > 0 ? '+Inf' : value < 0 ? '-Inf' : 'NaN'

const escapeHelp = (text: string): string => text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')
const escapeLabel = (text: string): string => escapeHelp(text).replace(/"/g, '\\"')
