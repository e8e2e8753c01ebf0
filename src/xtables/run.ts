// Runs one of iptables' programs: text in, text out. Whoever gives up waiting for it has it killed, which is safe at any
// time: it changes its tables in one system call, or in one transaction of the kernel's.
import { spawn, type ChildProcess } from 'node:child_process'
import type { Namespace } from '../sys/namespace.ts'
import { XtablesError } from './error.ts'

interface RunOptions {
  readonly signal: AbortSignal
  readonly input?: string
  /** This thread's unless given. */
  readonly namespace?: Namespace | undefined
}

interface Ran {
  readonly status: number
  readonly stdout: string
  /** Without warnings about the other flavour's tables. */
  readonly stderr: string
}

/** Bytes are kept as they are: text is Latin-1. Rejects with the signal's reason, or XtablesError where it can't be run. */
export async function run(path: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  const { signal, input, namespace } = options
  signal.throwIfAborted()
  // In a group of its own: what it has started itself would keep its output open after it was killed.
  const start = () =>
    spawn(path, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      cwd: '/',
      env: { ...process.env, LC_ALL: 'C' },
      detached: true,
    })
  const givenUp = Promise.withResolvers<never>()
  let giveUp: (() => void) | undefined
  try {
    const child = namespace === undefined ? start() : namespace.run(start)
    giveUp = () => {
      killGroup(child)
      givenUp.reject(signal.reason)
    }
    signal.addEventListener('abort', giveUp, { once: true })
    const ended = new Promise<readonly [code: number | null, by: string | null]>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, by) => resolve([code, by]))
    })
    // It may end before it has read all: its own words tell why.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input ?? '', 'latin1')
    const whole = Promise.all([collect(child.stdout), collect(child.stderr), ended])
    const [stdout, stderr, [code, by]] = await Promise.race([whole, givenUp.promise])
    if (code === null) throw new XtablesError('refused', `${path} was killed by ${by}`)
    return { status: code, stdout, stderr: stderr.replaceAll(/^# Warning: .*\n/gm, '').trim() }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof XtablesError) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new XtablesError('refused', `${path} can't be run: ${why}`, { cause: error })
  } finally {
    if (giveUp !== undefined) signal.removeEventListener('abort', giveUp)
  }
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}

async function collect(stream: NodeJS.ReadableStream): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(Buffer.from(part))
  return Buffer.concat(parts).toString('latin1')
}
