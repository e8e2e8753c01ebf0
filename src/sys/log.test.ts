// The log's form, its levels, its folding of repeats, and that it leaves no timer behind.
import { expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { Log, type LogOptions } from './log.ts'

function capture(options: Partial<LogOptions> = {}) {
  const lines: string[] = []
  const log = new Log({ ...options, write: (line) => lines.push(line) })
  return { log, lines, at: log.from('vxlan.ts') }
}
const tail = (line: string | undefined): string => line?.replace(/^.*?\] /, '').trimEnd() ?? ''

test('a line has klog’s form', () => {
  const { lines, at } = capture()
  at.info('flannel is ready')
  at.warning('slow')
  at.error('broken')
  expect(lines[0]).toMatch(/^I\d{4} \d\d:\d\d:\d\d\.\d{6} [ \d]{7} vxlan\.ts\] flannel is ready\n$/)
  expect(lines.map((line) => line[0])).toEqual(['I', 'W', 'E'])
  expect(lines[0]).toContain(` ${process.pid} `)
})

test('facts follow the text, and nothing breaks out of its line', () => {
  const { lines, at } = capture()
  at.info('lease of "a\nI0000 forged"', { fields: { subnet: '10.1.2.0/24', peers: 3, gone: undefined } })
  expect(lines).toHaveLength(1)
  expect(tail(lines[0])).toBe('lease of "a\\u000aI0000 forged" subnet="10.1.2.0/24" peers=3')
})

test('JSON has the same facts as members', () => {
  const { lines, at } = capture({ format: 'json' })
  at.error('no route\n', { fields: { subnet: '10.1.2.0/24' } })
  const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>
  expect(line).toMatchObject({
    level: 'error',
    file: 'vxlan.ts',
    message: 'no route\n',
    subnet: '10.1.2.0/24',
    pid: process.pid,
  })
  expect(Date.parse(String(line['time']))).toBeGreaterThan(0)
  expect(lines[0]?.indexOf('\n')).toBe((lines[0]?.length ?? 0) - 1)
})

test('levels below the chosen one are left out', () => {
  const { log, lines, at } = capture({ level: 'warning' })
  at.info('quiet')
  at.warning('loud')
  log.configure({ level: 'debug' })
  at.debug('now too')
  expect(lines.map(tail)).toEqual(['loud', 'now too'])
})

test('a message that repeats is written once and summed up', async () => {
  const { log, lines, at } = capture({ foldMs: 30 })
  for (let i = 0; i < 1000; i++) at.warning('the store is down')
  at.warning('something else')
  expect(lines.map(tail)).toEqual(['the store is down', 'something else'])
  while (lines.length < 3) await Bun.sleep(5)
  expect(tail(lines[2])).toBe('the store is down (… again 999 times in the last 0.03 s)')
  log[Symbol.dispose]()
})

test('a fault that lasts stays one line a window, and one that ended is news when it comes back', async () => {
  const { log, lines, at } = capture({ foldMs: 20 })
  at.warning('down')
  at.warning('down')
  while (lines.length < 2) await Bun.sleep(2)
  at.warning('down')
  expect(lines).toHaveLength(2)
  while (lines.length < 3) await Bun.sleep(2)
  expect(tail(lines[2])).toBe('down (… again once in the last 0.02 s)')
  await Bun.sleep(60)
  at.warning('down')
  expect(tail(lines[3])).toBe('down')
  log[Symbol.dispose]()
})

test('a key folds messages whose text differs; the last text is told', () => {
  const { log, lines, at } = capture()
  for (const n of [1, 2, 3]) at.error(`attempt ${n} failed`, { key: 'attempt' })
  log.from('other.ts').error('attempt 9 failed', { key: 'attempt' })
  log[Symbol.dispose]()
  expect(lines.map(tail)).toEqual([
    'attempt 1 failed',
    'attempt 9 failed',
    'attempt 3 failed (… again 2 times in the last minute)',
  ])
})

test('disposal tells what was not told yet and folds no more', () => {
  const { log, lines, at } = capture()
  at.info('x')
  at.info('x')
  log[Symbol.dispose]()
  log[Symbol.dispose]()
  at.info('x')
  expect(lines.map(tail)).toEqual(['x', 'x (… again once in the last minute)', 'x'])
})

test('lines are on stderr before the process dies, and a pending fold does not keep it alive', () => {
  const script = `import { log } from '${import.meta.dir}/log.ts'
const l = log.from('a.ts'); l.info('one'); l.info('one')`
  const run = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', timeout: 20_000 })
  expect(run.status).toBe(0)
  expect(tail(run.stderr)).toBe('one')
  const killed = spawnSync(process.execPath, ['-e', `${script}; process.kill(process.pid, 'SIGKILL')`], {
    encoding: 'utf8',
  })
  expect(tail(killed.stderr)).toBe('one')
})

test('a reader of stderr that has gone does not end the process', () => {
  const script = `import { log } from '${import.meta.dir}/log.ts'
for (let i = 0; i < 3; i++) log.from('a.ts').info('line ' + i); console.log('alive')`
  const run = spawnSync('bash', ['-c', `"$0" -e "$1" 2> >(exec <&-) ; sleep 0`, process.execPath, script], {
    encoding: 'utf8',
  })
  expect(run.stdout).toBe('alive\n')
})

test('a reader of stderr that reads nothing does not hold the process up', () => {
  const script = `import { log } from '${import.meta.dir}/log.ts'
const l = log.from('a.ts'); for (let i = 0; i < 100; i++) l.info('x'.repeat(9000) + i)`
  const shell = `d=$(mktemp -d); mkfifo $d/f; exec 3<>$d/f; rm -r $d; head -c 65536 /dev/zero >&3; exec "$0" -e "$1" 2>&3`
  const run = spawnSync('bash', ['-c', shell, process.execPath, script], { timeout: 20_000 })
  expect({ status: run.status, signal: run.signal }).toEqual({ status: 0, signal: null })
})

test('a line too long for one write is cut', () => {
  const script = `import { log } from '${import.meta.dir}/log.ts'
log.from('a.ts').info('ä'.repeat(5000)); log.from('a.ts').info('next')`
  const lines = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' }).stderr.split('\n')
  expect(lines.length).toBe(3)
  expect(Buffer.byteLength(lines[0] ?? '')).toBeLessThanOrEqual(4096)
  expect(lines[0]).toEndWith(' …')
  expect(tail(lines[1] ?? '')).toBe('next')
})
