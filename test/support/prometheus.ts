// A strict reader of Prometheus' text form, version 0.0.4: throws at the first line that promtool would complain about.

export interface Series {
  /** With its suffix: `x_bucket`. */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}
export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly series: readonly Series[]
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/
const VALUE = /^(?:NaN|[+-]Inf|[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)$/
/** Units that are not base units, and what to use (prometheus.io/docs/practices/naming). */
const BAD_UNIT = /_(?:milliseconds|ms|micros|minutes|hours|days|kilobytes|mebibytes|kb|mb|percent)(?:_|$)/
const SUFFIXES = { counter: [''], gauge: [''], histogram: ['_bucket', '_sum', '_count'] } as const

/** The families in their order. */
export function parsePrometheus(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const families = new Map<string, { -readonly [K in keyof Family]: Family[K] } & { series: Series[] }>()
  const seen = new Set<string>()
  let current: { help?: string; name: string } | undefined
  let family: (Family & { series: Series[] }) | undefined
  for (const line of text.slice(0, -1).split('\n')) {
    const bad = (why: string) => new Error(`${why}: ${line}`)
    const help = new RegExp(`^# HELP (${NAME}) (.*)$`).exec(line)
    if (help !== null) {
      const [, name = '', words = ''] = help
      if (families.has(name)) throw bad('a second HELP')
      if (words.trim() === '') throw bad('no help')
      if (/\\(?![\\n])/.test(words)) throw bad('a bad escape')
      current = { name, help: words.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c)) }
      continue
    }
    const type = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram)$`).exec(line)
    if (type !== null) {
      const [, name = '', kind] = type
      if (current?.name !== name || families.has(name)) throw bad('TYPE without its HELP before it')
      const made = { name, help: current.help ?? '', type: kind as Family['type'], series: [] as Series[] }
      checkName(made)
      families.set(name, made)
      family = made
      continue
    }
    const sample = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`).exec(line)
    if (sample === null || family === undefined) throw bad('no sample of a family')
    const [, name = '', pairs, value = ''] = sample
    const suffix = name.startsWith(family.name) ? name.slice(family.name.length) : undefined
    if (suffix === undefined || !(SUFFIXES[family.type] as readonly string[]).includes(suffix))
      throw bad(`not of the family ${family.name}`)
    if (!VALUE.test(value)) throw bad('no number')
    const labels = parseLabels(pairs ?? '')
    const identity = JSON.stringify([
      name,
      ...Object.keys(labels)
        .toSorted()
        .map((label) => [label, labels[label]]),
    ])
    if (seen.has(identity)) throw bad('a second sample with the same labels')
    seen.add(identity)
    family.series.push({ name, labels, value: numberOf(value) })
  }
  for (const each of families.values()) if (each.type === 'histogram') checkHistogram(each)
  return families
}

/** The only value of a metric with these labels; throws where there is none. */
export function valueOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const family = families.get(name) ?? families.get(name.replace(/_(?:bucket|sum|count)$/, ''))
  const found = family?.series.filter(
    (one) =>
      one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value),
  )
  const [only, ...others] = found ?? []
  if (only === undefined || others.length > 0)
    throw new Error(
      `${others.length + (only === undefined ? 0 : 1)} samples of ${name} ${JSON.stringify(labels)}`,
    )
  return only.value
}

const numberOf = (text: string): number => Number(text.replace('Inf', 'Infinity'))

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  let rest = text
  while (rest !== '') {
    const [whole = '', name = '', value = ''] = LABEL.exec(rest) ?? []
    if (whole === '' || name in labels || name.startsWith('__')) throw new Error(`bad labels: {${text}}`)
    labels[name] = value.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c))
    rest = rest.slice(whole.length)
  }
  return labels
}

function checkName({ name, type }: Family): void {
  if (BAD_UNIT.test(name)) throw new Error(`${name} is not in a base unit`)
  if (name.includes(':')) throw new Error(`${name}: colons are for recording rules`)
  if ((type === 'counter') !== name.endsWith('_total'))
    throw new Error(`${name}: counters alone end in _total`)
  if (/_(?:bucket|sum|count)$/.test(name)) throw new Error(`${name} has a suffix of a histogram's`)
}

function checkHistogram({ name, series }: Family): void {
  const groups = Map.groupBy(series, ({ labels }) => JSON.stringify({ ...labels, le: undefined }))
  for (const [labels, members] of groups) {
    const buckets = members.filter((one) => one.name === `${name}_bucket`)
    const bounds = buckets.map(({ labels: { le = '' } }) => numberOf(le))
    const counts = buckets.map(({ value }) => value)
    const rises = (list: readonly number[]) => list.every((n, i) => i === 0 || n >= (list[i - 1] ?? 0))
    const count = members.find((one) => one.name === `${name}_count`)?.value
    const sum = members.find((one) => one.name === `${name}_sum`)
    if (!rises(bounds) || !rises(counts) || bounds.at(-1) !== Infinity || counts.at(-1) !== count || !sum)
      throw new Error(`the histogram ${name}${labels} is not in order`)
  }
}
