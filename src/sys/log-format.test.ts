// One message as a line: klog's header to the letter, facts for programs, and nothing that breaks out of its line.
import { expect, test } from 'bun:test'
import { formatLine, type Entry } from './log-format.ts'

const entry = (more: Partial<Entry> = {}): Entry => ({
  level: 'info',
  file: 'vxlan.ts',
  message: 'flannel is ready',
  fields: {},
  ...more,
})
const tail = (line: string): string => line.replace(/^.*?\] /, '').trimEnd()

test('a line has klog’s form, as its parsers want it', () => {
  // The expression that Google's and Fluentd's parsers use for glog, with the line number that lnav wants.
  const klog =
    /^(?<severity>[IWEF])(?<time>\d{4} \d\d:\d\d:\d\d\.\d{6})\s+(?<pid>\d+)\s+(?<source>[^ \]]+:\d+)\] (?<log>.*)\n$/
  expect(formatLine('text', entry())).toMatch(
    /^I\d{4} \d\d:\d\d:\d\d\.\d{6} [ \d]{7} vxlan\.ts:0\] flannel is ready\n$/,
  )
  const levels = (['debug', 'info', 'warning', 'error'] as const).map((level) => {
    const groups = klog.exec(formatLine('text', entry({ level })))?.groups
    expect(groups).toMatchObject({ pid: `${process.pid}`, source: 'vxlan.ts:0', log: 'flannel is ready' })
    return groups?.['severity']
  })
  expect(levels).toEqual(['I', 'I', 'W', 'E'])
})

test('facts follow the text, and nothing breaks out of its line', () => {
  const fields = { subnet: '10.1.2.0/24', peers: 3, gone: undefined, name: 'a\u2028b\u0085"' }
  const line = formatLine('text', entry({ message: 'lease of "a\nI0000 forged"', fields }))
  expect(tail(line)).toBe(
    'lease of "a\\u000aI0000 forged" subnet="10.1.2.0/24" peers=3 name="a\\u2028b\\u0085\\""',
  )
  expect(line.split('\n')).toHaveLength(2)
})

test('JSON has the same facts as members', () => {
  const line = formatLine(
    'json',
    entry({ level: 'error', message: 'no route\n', fields: { subnet: '10.1.2.0/24' } }),
  )
  const object = JSON.parse(line) as Record<string, unknown>
  expect(object).toMatchObject({
    level: 'error',
    file: 'vxlan.ts',
    message: 'no route\n',
    subnet: '10.1.2.0/24',
    pid: process.pid,
  })
  expect(Date.parse(String(object['time']))).toBeGreaterThan(0)
  expect(line.indexOf('\n')).toBe(line.length - 1)
})

test('a fact can’t take the place of the message, its level or its time', () => {
  const line = formatLine('json', entry({ fields: { message: 'forged', level: 'error', time: 'never' } }))
  expect(JSON.parse(line)).toMatchObject({ message: 'flannel is ready', level: 'info' })
})
