// A process that a test starts, in a namespace if it likes, and ends by its pid: `await using etcd = Running.start(…)`.
import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Namespace } from '../../src/sys/namespace.ts'

/** USER_HZ, the same on every Linux that we run on. */
const TICKS_A_SECOND = 100

export interface StartOptions {
  readonly namespace?: Namespace | undefined
  /** In place of this process's environment, PATH kept. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export class Running implements AsyncDisposable {
  readonly name: string
  readonly ended: Promise<Ended>
  /** Standard output and error as they came, line by line. */
  readonly lines: string[] = []
  readonly #child: ChildProcess
  readonly #listeners = new Set<() => void>()
  #over: Ended | undefined

  private constructor(name: string, child: ChildProcess) {
    this.name = name
    this.#child = child
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => {
        this.#over = { code, signal }
        this.#tell()
        resolve(this.#over)
      })
    })
    for (const stream of [child.stdout, child.stderr]) {
      let rest = ''
      stream?.on('data', (chunk: Buffer) => {
        const lines = (rest + chunk.toString()).split('\n')
        rest = lines.pop() ?? ''
        this.lines.push(...lines)
        this.#tell()
      })
      stream?.on('end', () => rest !== '' && this.lines.push(rest))
    }
  }

  /** The process has the pid of `pid`: nsenter and setpriv replace themselves. It dies with this one, however that ends. */
  static start(command: string, args: readonly string[], options: StartOptions = {}): Running {
    const enter = options.namespace === undefined ? [] : ['nsenter', `--net=${options.namespace.path}`]
    const words = ['--pdeathsig', 'KILL', ...enter, command, ...args]
    const child = spawn('setpriv', words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: options.env === undefined ? process.env : { PATH: process.env['PATH'] ?? '', ...options.env },
    })
    return new Running(command.split('/').at(-1) ?? command, child)
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.name} did not start`)
    return this.#child.pid
  }

  get running(): boolean {
    return this.#over === undefined
  }

  /** Lines so far that match. */
  matching(pattern: RegExp): string[] {
    return this.lines.filter((line) => pattern.test(line))
  }

  /** The first line from number `from` that matches, now or within the time; throws with the last lines otherwise. */
  async line(pattern: RegExp, { withinSeconds = 20, from = 0 } = {}): Promise<string> {
    const found = () => this.lines.slice(from).find((line) => pattern.test(line))
    await this.#until(() => found() !== undefined || !this.running, withinSeconds)
    const line = found()
    if (line !== undefined) return line
    const state = this.running ? `said nothing like ${pattern} within ${withinSeconds} s` : 'has ended'
    throw new Error(`${this.name} ${state}; its last lines:\n${this.tail()}`)
  }

  tail(count = 15): string {
    return this.lines.slice(-count).join('\n')
  }

  signal(name: NodeJS.Signals): void {
    if (this.running) process.kill(this.pid, name)
  }

  /** Sends the signal and waits for the end; throws if that takes longer. */
  async end(name: NodeJS.Signals = 'SIGTERM', withinSeconds = 10): Promise<Ended> {
    this.signal(name)
    await this.#until(() => !this.running, withinSeconds)
    if (this.running)
      throw new Error(
        `${this.name} still runs ${withinSeconds} s after ${name}; its last lines:\n${this.tail()}`,
      )
    return this.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.pid === undefined || !this.running) return
    this.signal('SIGKILL')
    await this.ended
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }

  #until(condition: () => boolean, withinSeconds: number): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return
        stop()
      }
      const stop = () => {
        clearTimeout(timer)
        this.#listeners.delete(look)
        resolve()
      }
      const timer = setTimeout(stop, withinSeconds * 1000)
      this.#listeners.add(look)
      look()
    })
  }
}

/** Processor time of a process so far in seconds, that of threads and children that have ended included (proc(5), stat 14 to 17). */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_A_SECOND
}

/** Resident memory in MiB, as VmRSS tells. */
export function residentMebibytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib) / 1024
}

/** Asks again every few milliseconds until `ask` tells something; throws with `what` after the time. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  withinSeconds = 10,
): Promise<T> {
  const deadline = performance.now() + withinSeconds * 1000
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > deadline) throw new Error(`not within ${withinSeconds} s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
