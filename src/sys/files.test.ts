// Files written whole: content, mode, no temporary file left, the old file kept where writing fails.
import { afterEach, beforeEach, expect, test } from 'bun:test'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { thrown } from '../../test/support/values.ts'
import { writeFileAtomically } from './files.ts'

let directory: string
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'files-'))))
afterEach(() => rmSync(directory, { recursive: true }))

test('a file is made, with its directories and its mode whatever the umask', () => {
  const path = join(directory, 'run', 'flannel', 'subnet.env')
  const mask = process.umask(0o077)
  try {
    writeFileAtomically(path, 'FLANNEL_MTU=1450\n', 0o644)
  } finally {
    process.umask(mask)
  }
  expect(readFileSync(path, 'utf8')).toBe('FLANNEL_MTU=1450\n')
  expect(statSync(path).mode & 0o777).toBe(0o644)
})

test('replacing makes a new file: who has the old one open keeps reading it', () => {
  const path = join(directory, 'file')
  writeFileAtomically(path, 'old')
  const inode = statSync(path).ino
  writeFileAtomically(path, 'new', 0o600)
  expect(readFileSync(path, 'utf8')).toBe('new')
  expect(statSync(path).ino).not.toBe(inode)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readdirSync(directory)).toEqual(['file'])
})

test('a symbolic link is replaced, not followed', () => {
  writeFileSync(join(directory, 'target'), 'precious')
  symlinkSync('target', join(directory, 'link'))
  writeFileAtomically(join(directory, 'link'), 'mine')
  expect(readFileSync(join(directory, 'target'), 'utf8')).toBe('precious')
  expect(readFileSync(join(directory, 'link'), 'utf8')).toBe('mine')
})

test('what can not be written leaves the old state and no temporary file', () => {
  mkdirSync(join(directory, 'taken', 'inside'), { recursive: true })
  expect(thrown(() => writeFileAtomically(join(directory, 'taken'), 'x'))).toBeInstanceOf(Error)
  expect(readdirSync(directory)).toEqual(['taken'])
  expect(thrown(() => writeFileAtomically('/proc/nowhere/file', 'x'))).toMatchObject({ code: 'ENOENT' })
})

test('the bytes are on disk before the name is: fsync, rename, fsync of the directory', () => {
  const script = `import { writeFileAtomically } from '${import.meta.dir}/files.ts'
writeFileAtomically('${join(directory, 'durable')}', 'x')`
  const trace = join(directory, 'trace')
  const run = spawnSync(
    'strace',
    [
      '-f',
      '-o',
      trace,
      '-e',
      'trace=fsync,fdatasync,rename,renameat,renameat2',
      process.execPath,
      '-e',
      script,
    ],
    { encoding: 'utf8' },
  )
  expect(run.stderr).toBe('')
  const calls = readFileSync(trace, 'utf8').match(/\b(fsync|rename)(?=(?:at2?)?\()/g)
  expect(calls).toEqual(['fsync', 'rename', 'fsync'])
})

test('what is no regular file is never replaced', () => {
  const fifo = join(directory, 'fifo')
  expect(spawnSync('mkfifo', [fifo]).status).toBe(0)
  expect(String(thrown(() => writeFileAtomically(fifo, 'mine')))).toContain('is no regular file')
  expect(statSync(fifo).isFIFO()).toBe(true)
  expect(String(thrown(() => writeFileAtomically('/dev/null', 'mine')))).toContain('/dev/null')
  expect(statSync('/dev/null').isCharacterDevice()).toBe(true)
  expect(readdirSync(directory)).toEqual(['fifo'])
})
