// How many programs a process and its children start in a while, by strace.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Running } from '../../test/support/process.ts'
import { pause } from '../peers.ts'

export async function execsDuring(pid: number, seconds: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-bench-'))
  try {
    const file = join(folder, 'execs')
    const words = ['-f', '-qq', '-e', 'trace=execve', '-e', 'signal=none', '-o', file, '-p', `${pid}`]
    await using strace = Running.start('strace', words)
    await pause(seconds)
    await strace.end('SIGINT')
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => /execve\(.*= 0$/.test(line)).length
  } finally {
    rmSync(folder, { recursive: true })
  }
}
