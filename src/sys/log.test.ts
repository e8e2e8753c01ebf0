// The log as a whole: levels, folding by its own timer, and lines that are out before the call returns.
import { expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { Log, type LogOptions } from './log.ts'

function capture(options: Partial<LogOptions> = {}, foldMs?: number) {
  const lines: string[] = []
  const log = new Log({ ...options, write: (line) => lines.push(line) }, foldMs)
  return { log, lines, at: log.from('vxlan.ts') }
}
const tail = (line: string | undefined): string => line?.replace(/^.*?\] /, '').trimEnd() ?? ''

test('debug messages are written from their verbosity on, each time', () => {
  const { log, lines, at } = capture({ verbosity: 2 })
  for (const verbosity of [1, 2, 2, 4]) at.debug(verbosity, `level ${verbosity}`)
  expect([1, 2, 3].map(at.isVerbose)).toEqual([true, true, false])
  log.configure({ verbosity: 0 })
  at.debug(1, 'no more')
  at.info('loud')
  expect(lines.map(tail)).toEqual(['level 1', 'level 2', 'level 2', 'loud'])
  log[Symbol.dispose]()
})

test('the format can change, and messages are counted by level', () => {
  const { log, lines, at } = capture()
  at.warning('a')
  log.configure({ format: 'json' })
  at.warning('a')
  at.error('b', { fields: { n: 1 } })
  expect(JSON.parse(lines[1] ?? '')).toMatchObject({ message: 'b', n: 1 })
  expect(log.counts).toEqual({ info: 0, warning: 2, error: 1 })
  log[Symbol.dispose]()
  expect(JSON.parse(lines[2] ?? '')).toMatchObject({ level: 'warning', repeats: 1 })
})

test('a message that repeats is written once and summed up when its time is over', async () => {
  const { log, lines, at } = capture({}, 30)
  for (let i = 0; i < 1000; i++) at.warning('the store is down')
  expect(lines.map(tail)).toEqual(['the store is down'])
  while (lines.length < 2) await Bun.sleep(5)
  expect(tail(lines[1])).toMatch(/^the store is down \(… again 999 times in the last \d+ ms\)$/)
  log[Symbol.dispose]()
})

test('a state that comes back is told again', () => {
  const { log, lines, at } = capture()
  for (const _ of [1, 2]) {
    at.error('down', { about: 'store' })
    at.info('up', { about: 'store' })
  }
  expect(lines.map(tail)).toEqual(['down', 'up', 'down', 'up'])
  log[Symbol.dispose]()
})

test('disposal tells what was not told yet and folds no more', () => {
  const { log, lines, at } = capture()
  at.info('x')
  at.info('x')
  log[Symbol.dispose]()
  log[Symbol.dispose]()
  at.info('x')
  expect(lines.map(tail)).toEqual([
    'x',
    expect.stringMatching(/^x \(… again once in the last \d+ ms\)$/),
    'x',
  ])
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
