// A lock file keeps other processes out until it is disposed.
import { expect, test } from 'bun:test'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lockFile, tryLockFile } from './lock.ts'

test('another process waits until the lock is disposed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'heddle-lock-'))
  try {
    const path = join(directory, 'lock')
    const lock = lockFile(path)
    const script = `
      import { lockFile } from '${import.meta.dirname}/lock.ts'
      console.log('asks')
      using lock = lockFile(${JSON.stringify(path)})
      console.log('has it')`
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    const asked = new Promise<void>((resolve) =>
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString()
        resolve()
      }),
    )
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    await asked
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(said).toBe('asks\n')
    lock[Symbol.dispose]()
    lock[Symbol.dispose]()
    expect(await ended).toBe(0)
    expect(said).toBe('asks\nhas it\n')
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('a lock that another has is not waited for, if that is asked', () => {
  const directory = mkdtempSync(join(tmpdir(), 'heddle-lock-'))
  try {
    const path = join(directory, 'lock')
    const first = tryLockFile(path)
    expect(first).toBeDefined()
    // Each opening of the file is a holder of its own, in one process too.
    expect(tryLockFile(path)).toBeUndefined()
    first?.[Symbol.dispose]()
    using again = tryLockFile(path)
    expect(again).toBeDefined()
    expect(() => tryLockFile(join(path, 'nothing'))).toThrow(/ENOTDIR/)
  } finally {
    rmSync(directory, { recursive: true })
  }
})
