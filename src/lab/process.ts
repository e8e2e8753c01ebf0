// The processes of a lab: started detached with a log each, found again by what proves that they are this lab's,
// and ended. A process id alone proves nothing: it may have been given to another since.
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Namespace } from '../sys/namespace.ts'
import { LabError } from './error.ts'

/** In the environment of every process of a lab: its id. */
export const MARKER = 'HEDDLE_LAB'
/** The name of the process that keeps an ordinary user's namespaces. */
export const HOLDER = 'holder'

export interface ProcessRecord {
  readonly pid: number
  /** Since boot (proc_pid_stat(5), field 22): tells two processes of one id apart. */
  readonly startTicks: number
}

export interface ProcessStart {
  readonly file: string
  readonly argv0?: string
  readonly args: readonly string[]
  readonly namespace: Namespace | undefined
  readonly logFile: string
  readonly id: string
  readonly environment?: Readonly<Record<string, string>>
}

/** By process id: how those that this process started have ended, or will. */
const endings = new Map<number, Promise<string>>()
const ENDING_MS = 500

/** ` with exit status 1`, ` by SIGKILL`; nothing where another command started it. For one that has ended. */
export const endingOf = (record: ProcessRecord): Promise<string> =>
  Promise.race([
    endings.get(record.pid) ?? '',
    new Promise<string>((resolve) => setTimeout(resolve, ENDING_MS, '').unref()),
  ])

/** In place of its start time where a process ended before that could be read. */
const ENDED = -1

/** Starts a process that outlives this one, in its own session: a Ctrl-C at the terminal doesn't reach it. */
export function startProcess(start: ProcessStart): ProcessRecord {
  mkdirSync(dirname(start.logFile), { recursive: true })
  const log = openSync(start.logFile, 'a')
  try {
    const launch = () =>
      spawn(start.file, start.args, {
        ...(start.argv0 === undefined ? {} : { argv0: start.argv0 }),
        detached: true,
        stdio: ['ignore', log, log],
        cwd: '/',
        env: {
          PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
          ...start.environment,
          [MARKER]: start.id,
        },
      })
    const child = start.namespace === undefined ? launch() : start.namespace.run(launch)
    // Its exit is seen by those who wait for what it should do; a failed start is reported right here.
    child.on('error', () => undefined)
    child.unref()
    if (child.pid === undefined)
      throw new LabError('failed', `${start.file} did not start; is it there, and executable?`)
    const { promise, resolve } = Promise.withResolvers<string>()
    child.on('exit', (code, signal) => resolve(code === null ? ` by ${signal}` : ` with exit status ${code}`))
    endings.set(child.pid, promise)
    return { pid: child.pid, startTicks: startTicksOf(child.pid) ?? ENDED }
  } finally {
    closeSync(log)
  }
}

/** Whether its executable has been replaced since it started, as a new build does. */
export function isOutdated(record: ProcessRecord): boolean {
  try {
    return readlinkSync(`/proc/${record.pid}/exe`).endsWith(' (deleted)')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** Undefined for a process that is gone, or ended and not yet waited for. */
export function startTicksOf(pid: number): number | undefined {
  const stat = readProc(`${pid}/stat`)
  // The name in parentheses may hold anything, parentheses too.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  const hasEnded = fields?.[0] === 'X' || (fields?.[0] === 'Z' && !hasThreads(pid))
  return fields === undefined || hasEnded ? undefined : Number(fields[19])
}

/** While others of its threads are still ending, its files are open and its locks held. */
function hasThreads(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).length > 1
  } catch {
    return false
  }
}

export const ownRecord = (): ProcessRecord => ({
  pid: process.pid,
  startTicks: startTicksOf(process.pid) ?? 0,
})
export const isAlive = (record: ProcessRecord): boolean => startTicksOf(record.pid) === record.startTicks

function readProc(name: string): string | undefined {
  try {
    return readFileSync(`/proc/${name}`, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    // Gone, or another user's.
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return undefined
    throw error
  }
}

function namespaceOf(pid: number, kind: 'net' | 'user'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`)
  } catch {
    // Gone, or another user's: none of ours either way.
    return undefined
  }
}

/** What proves that a process is a lab's: its id in the environment, or a namespace that only this lab has. */
export interface Evidence {
  readonly id: string | undefined
  /** As in /proc/PID/ns: `net:[4026532177]`. */
  readonly namespaces: ReadonlySet<string>
}

/** This process and those it descends from are never among them. */
export function labProcesses(evidence: Evidence): ProcessRecord[] {
  const spared = ownLine()
  const found: ProcessRecord[] = []
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || spared.has(pid)) continue
    const startTicks = startTicksOf(pid)
    if (startTicks !== undefined && isOurs(pid, evidence)) found.push({ pid, startTicks })
  }
  return found
}

function isOurs(pid: number, { id, namespaces }: Evidence): boolean {
  for (const kind of ['net', 'user'] as const) {
    const namespace = namespaceOf(pid, kind)
    if (namespace !== undefined && namespaces.has(namespace)) return true
  }
  return id !== undefined && (readProc(`${pid}/environ`)?.split('\0').includes(`${MARKER}=${id}`) ?? false)
}

function ownLine(): ReadonlySet<number> {
  const line = new Set<number>()
  for (let pid = process.pid; pid > 0 && !line.has(pid);) {
    line.add(pid)
    const stat = readProc(`${pid}/stat`)
    pid = Number(stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0)
  }
  return line
}

const KILL_DEADLINE_MS = 10_000

/** Ends all processes of the lab, those too that they start meanwhile; returns how many there were. */
export async function endProcesses(evidence: Evidence): Promise<number> {
  const ended = new Set<number>()
  const deadline = Date.now() + KILL_DEADLINE_MS
  for (;;) {
    const left = labProcesses(evidence)
    if (left.length === 0) return ended.size
    if (Date.now() > deadline)
      throw new LabError(
        'timeout',
        `processes ${left.map((p) => p.pid).join(', ')} of the lab did not end in 10 s`,
      )
    for (const record of left) {
      ended.add(record.pid)
      endProcess(record)
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** SIGKILL: a lab keeps nothing that a process would have to save. */
export function endProcess(record: ProcessRecord): void {
  if (!isAlive(record)) return
  try {
    process.kill(record.pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
