// The log in real files: bounded by rotation, followed when somebody moves it, and a full disk or a missing directory
// is told once and survived.
import { afterAll, describe, expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LogFile, type LogFileOptions } from './log-file.ts'

const folders: string[] = []
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })))

function scene(options: Partial<LogFileOptions> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-log-'))
  folders.push(folder)
  const told: string[] = []
  const file = new LogFile(join(folder, 'logs'), 'flanneld', {
    onTrouble: (reason) => told.push(reason),
    onRelief: (missed) => told.push(`again, without ${missed}`),
    retryMs: 20,
    ...options,
  })
  const read = (name = 'flanneld.log') => readFileSync(join(folder, 'logs', name), 'utf8')
  const names = () => readdirSync(join(folder, 'logs')).sort()
  return {
    folder,
    logs: join(folder, 'logs'),
    told,
    file,
    read,
    names,
    [Symbol.dispose]: () => file[Symbol.dispose](),
  }
}

test('lines are in the file at once; its directory is made; nothing is there before the first line', () => {
  using it = scene()
  expect(existsSync(it.logs)).toBe(false)
  it.file.write('one\n')
  it.file.write('two\n')
  expect(it.read()).toBe('one\ntwo\n')
  expect(statSync(it.file.path).mode & 0o777).toBe(0o640)
  expect(it.told).toEqual([])
})

test('a file that was there is gone on with', () => {
  using it = scene()
  mkdirSync(it.logs)
  writeFileSync(it.file.path, 'before\n')
  it.file.write('after\n')
  expect(it.read()).toBe('before\nafter\n')
})

test('a file grows to its bound; old ones are renamed, and the oldest goes', () => {
  using it = scene({ maxBytes: 30, keep: 2 })
  for (let i = 10; i < 22; i++) it.file.write(`line ${i} ..\n`)
  expect(it.names()).toEqual(['flanneld.log', 'flanneld.log.1', 'flanneld.log.2'])
  expect(it.read('flanneld.log.2')).toBe('line 16 ..\nline 17 ..\n')
  expect(it.read('flanneld.log.1')).toBe('line 18 ..\nline 19 ..\n')
  expect(it.read()).toBe('line 20 ..\nline 21 ..\n')
  it.file.write(`${'x'.repeat(99)}\n`)
  expect(it.read()).toBe(`${'x'.repeat(99)}\n`)
})

describe('what somebody else does to it is noticed with the next line:', () => {
  test('moved, as logrotate does', () => {
    using it = scene()
    it.file.write('one\n')
    renameSync(it.file.path, `${it.file.path}-20261123`)
    it.file.write('two\n')
    expect([it.read('flanneld.log-20261123'), it.read()]).toEqual(['one\n', 'two\n'])
  })
  test('truncated, as logrotate does with copytruncate', () => {
    using it = scene({ maxBytes: 10 })
    it.file.write('12345678\n')
    truncateSync(it.file.path)
    it.file.write('two\n')
    expect(it.read()).toBe('two\n')
    expect(it.names()).toEqual(['flanneld.log'])
  })
  test('removed with its directory', () => {
    using it = scene()
    it.file.write('one\n')
    rmSync(it.logs, { recursive: true })
    it.file.write('two\n')
    expect(it.read()).toBe('two\n')
    expect(it.told).toEqual([])
  })
  test('rotated by another process that has it open too', () => {
    using it = scene({ maxBytes: 30 })
    it.file.write('one .........\n')
    using other = new LogFile(it.logs, 'flanneld', {
      onTrouble: () => undefined,
      onRelief: () => undefined,
      maxBytes: 30,
    })
    for (const line of ['two', 'three']) other.write(`${line} .........\n`)
    it.file.write('four\n')
    expect([it.read('flanneld.log.1'), it.read()]).toEqual([
      'one .........\ntwo .........\n',
      'three .........\nfour\n',
    ])
  })
})

describe('what can’t be written is told once, and tried again:', () => {
  const until = async (condition: () => boolean) => {
    while (!condition()) await Bun.sleep(20)
  }

  test('a directory that can’t be made', async () => {
    using it = scene()
    writeFileSync(it.logs, 'a file')
    const began = performance.now()
    while (performance.now() - began < 100) {
      it.file.write('x\n')
      await Bun.sleep(1)
    }
    expect(it.told).toEqual([expect.stringMatching(/EEXIST|ENOTDIR/)])
    rmSync(it.logs)
    await until(() => (it.file.write('back\n'), it.told.length > 1))
    expect(it.told[1]).toMatch(/^again, without \d+$/)
    expect(it.read()).toBe('back\n')
  })

  test('something in its place that is no file, a FIFO that nobody reads among it', () => {
    using it = scene()
    mkdirSync(it.file.path, { recursive: true })
    it.file.write('x\n')
    expect(it.told).toEqual([expect.stringContaining('EISDIR')])
    using fifo = scene()
    mkdirSync(fifo.logs)
    expect(spawnSync('mkfifo', [fifo.file.path]).status).toBe(0)
    fifo.file.write('x\n')
    expect(fifo.told).toEqual([expect.stringContaining('ENXIO')])
  })

  test('a trouble that becomes another one is told again', async () => {
    using it = scene()
    writeFileSync(it.logs, 'a file')
    it.file.write('x\n')
    rmSync(it.logs)
    mkdirSync(it.file.path, { recursive: true })
    await until(() => (it.file.write('x\n'), it.told.length > 1))
    expect(it.told[1]).toContain('EISDIR')
  })

  test('a disk that gets full, a little tmpfs in a mount namespace of its own', () => {
    const script = `
      import { rmSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
      import { LogFile } from '${import.meta.dir}/log-file.ts'
      const told = []
      const file = new LogFile('/mnt/logs', 'flanneld', { onTrouble: (r) => told.push(r), onRelief: (n) => told.push('again ' + n), maxBytes: 60000, keep: 20, retryMs: 100 })
      const line = (n) => file.write('line ' + String(n).padStart(5, '0') + ' ' + 'x'.repeat(300) + '\\n')
      for (let n = 0; n < 3000; n++) line(n)
      const before = told.length
      rmSync('/mnt/logs/flanneld.log.1')
      for (; told.length === before; await Bun.sleep(20)) line(9999)
      const all = readdirSync('/mnt/logs').map((name) => readFileSync('/mnt/logs/' + name, 'utf8'))
      const whole = /^line \\d{5} x{300}$/
      const torn = all.flatMap((text) => text.trimEnd().split('\\n')).filter((text) => !whole.test(text))
      const last = readFileSync('/mnt/logs/flanneld.log', 'utf8').trimEnd().split('\\n').at(-1)
      console.log(JSON.stringify({ before, told, torn: torn.length, last: last.slice(0, 10) }))
    `
    const shell = `mount -t tmpfs -o size=512k none /mnt; exec "$0" -e "$1"`
    const run = spawnSync('unshare', ['--mount', 'bash', '-ec', shell, process.execPath, script], {
      encoding: 'utf8',
    })
    expect(run.stderr).toBe('')
    const { before, told, torn, last } = JSON.parse(run.stdout) as Record<string, unknown>
    expect({ before, told }).toEqual({
      before: 1,
      told: [expect.stringContaining('ENOSPC'), expect.stringMatching(/^again \d{3,}$/)],
    })
    // At most the one that the disk took half of; the next has a line of its own.
    expect(torn).toBeLessThanOrEqual(1)
    expect(last).toBe('line 09999')
  })
})

test('a trouble may be logged: the file is let alone then', () => {
  const { folder } = scene()
  const lines: string[] = []
  const file: LogFile = new LogFile(join(folder, 'a-file', 'x'), 'flanneld', {
    onTrouble(reason) {
      lines.push(reason)
      file.write(`${reason}\n`)
    },
    onRelief: () => undefined,
  })
  writeFileSync(join(folder, 'a-file'), '')
  file.write('x\n')
  expect(lines).toHaveLength(1)
})
