// What is written is what a strict reader of Prometheus' text form reads, whatever stands in labels and help.
import { expect, setDefaultTimeout, test } from 'bun:test'
import * as fc from 'fast-check'
import { parsePrometheus, valueOf } from '../../test/support/prometheus.ts'
import { Counters } from '../sys/counters.ts'
import { prometheusText } from './prometheus.ts'

// Hundreds of texts take half a second on a quiet machine.
setDefaultTimeout(60_000)

test('the text to the byte', () => {
  const counters = new Counters()
  counters.counter('heddle_repairs_total', 'Objects put\nback\\.', ['kind']).add(3, { kind: 'a"b\\c\nd' })
  counters.counter('heddle_leases_lost_total', 'Leases lost.')
  const rounds = counters.histogram('heddle_round_duration_seconds', 'Rounds.', [0.1, 1])
  rounds.observe(0.25)
  counters.gauge('heddle_offset_seconds', 'Odd numbers.', ['n']).set(-Infinity, { n: '1' })
  expect(prometheusText(counters.snapshot())).toBe(`# HELP heddle_repairs_total Objects put\\nback\\\\.
# TYPE heddle_repairs_total counter
heddle_repairs_total{kind="a\\"b\\\\c\\nd"} 3
# HELP heddle_leases_lost_total Leases lost.
# TYPE heddle_leases_lost_total counter
heddle_leases_lost_total 0
# HELP heddle_round_duration_seconds Rounds.
# TYPE heddle_round_duration_seconds histogram
heddle_round_duration_seconds_bucket{le="0.1"} 0
heddle_round_duration_seconds_bucket{le="1"} 1
heddle_round_duration_seconds_bucket{le="+Inf"} 1
heddle_round_duration_seconds_sum 0.25
heddle_round_duration_seconds_count 1
# HELP heddle_offset_seconds Odd numbers.
# TYPE heddle_offset_seconds gauge
heddle_offset_seconds{n="1"} -Inf
`)
})

test('any label, help and number comes back as it was', () => {
  const text = fc.string({ unit: 'binary' }).map((made) => made.replaceAll('\r', ''))
  fc.assert(
    fc.property(text, text, fc.double(), (help, label, value) => {
      const counters = new Counters()
      counters.gauge('heddle_x', `x${help}`, ['label']).set(value, { label })
      const families = parsePrometheus(prometheusText(counters.snapshot()))
      expect(families.get('heddle_x')?.help).toBe(`x${help}`)
      expect(valueOf(families, 'heddle_x', { label })).toBe(value + 0)
    }),
    { numRuns: 40 },
  )
})

test('the reader is strict', () => {
  const good = '# HELP a_total x\n# TYPE a_total counter\na_total{b="c"} 1\n'
  expect(parsePrometheus(good).size).toBe(1)
  for (const [from, to] of [
    ['a_total{', 'b_total{'],
    ['"c"', '"c'],
    ['"c"', '"c\\d"'],
    [' 1\n', ' one\n'],
    [' 1\n', ' 1'],
    ['b="c"', 'b="c",b="d"'],
    ['# HELP a_total x\n', ''],
    ['counter', 'countre'],
    ['a_total{b="c"} 1\n', 'a_total{b="c"} 1\na_total{b="c"} 2\n'],
  ] as const)
    expect(() => parsePrometheus(good.replace(from, to))).toThrow()
  for (const name of ['a_milliseconds_total', 'a', 'a:b_total'])
    expect(() => parsePrometheus(good.replaceAll('a_total', name))).toThrow()
})
