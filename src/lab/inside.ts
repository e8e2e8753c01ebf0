// The way into a lab that lives in other namespaces than we do: util-linux's nsenter runs heddle again in there. An
// ordinary user's lab is in its holder's; root's may have been made in a mount namespace of its own (`ip netns exec`
// makes one), where the names of the lab's network namespaces are bound.
import { spawn } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { DIRECTORY_VARIABLE, labDirectory, type LabDirectory, type LabRecord } from './directory.ts'
import { LabError } from './error.ts'
import { executable } from './executable.ts'
import { requireTool } from './held.ts'
import { HOLDER, isAlive, labProcesses, MARKER } from './process.ts'

/** Set for the heddle inside: the directory it was called in, which nsenter leaves. */
const CALLED_IN = 'HEDDLE_CALLED_IN'

let inside = false

/** Whether another heddle has brought this one here; then goes back to the directory the person is in. */
export function isBroughtInside(): boolean {
  const directory = process.env[CALLED_IN]
  if (directory !== undefined) {
    // What is run from here may come from elsewhere again.
    delete process.env[CALLED_IN]
    process.chdir(directory)
    inside = true
  }
  return inside
}

export interface WayInside {
  /** A process of the lab that is in its namespaces. */
  readonly pid: number
  readonly kind: 'held' | 'mount'
  /** Those only this lab has, as in /proc/PID/ns. */
  readonly namespaces: readonly string[]
}

const OPTIONS: Readonly<Record<WayInside['kind'], readonly string[]>> = {
  held: ['--preserve-credentials', '--user', '--mount', '--net'],
  mount: ['--mount'],
}

/** `mnt:[4026531841]`: where the names of a lab's namespaces are bound. */
export const ownMountNamespace = (): string => readlinkSync('/proc/self/ns/mnt')

/** Undefined where the lab can be reached from here. */
export function wayInside(directory: LabDirectory, record: LabRecord): WayInside | undefined {
  const holder = directory.process(HOLDER)
  if (holder !== undefined) {
    if (!isAlive(holder)) return undefined
    const user = readlinkSync(`/proc/${holder.pid}/ns/user`)
    return user === readlinkSync('/proc/self/ns/user')
      ? undefined
      : { pid: holder.pid, kind: 'held', namespaces: [user] }
  }
  if (record.mountNamespace === ownMountNamespace()) return undefined
  const there = labProcesses({ id: record.id, namespaces: new Set() }).find(
    ({ pid }) => mountNamespaceOf(pid) === record.mountNamespace,
  )
  return there && { pid: there.pid, kind: 'mount', namespaces: [] }
}

function mountNamespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'EACCES') return undefined
    throw error
  }
}

/** Runs `heddle lab …` inside, on this terminal; its exit code. Signals are passed on. */
export async function runInside(
  directory: LabDirectory,
  id: string,
  way: WayInside,
  words: readonly string[],
): Promise<number> {
  requireTool('nsenter')
  const child = spawn(
    'nsenter',
    [
      ...OPTIONS[way.kind],
      `--target=${way.pid}`,
      '--',
      executable.file,
      ...executable.prefix,
      'lab',
      ...words,
    ],
    {
      stdio: 'inherit',
      env: {
        ...process.env,
        ...(directory.path === labDirectory().path ? { [DIRECTORY_VARIABLE]: directory.path } : {}),
        [CALLED_IN]: process.cwd(),
        [MARKER]: id,
      },
    },
  )
  const pass = (signal: NodeJS.Signals) => void child.kill(signal)
  process.on('SIGINT', pass).on('SIGTERM', pass).on('SIGHUP', pass)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', (cause) =>
        reject(new LabError('failed', `nsenter did not start: ${cause.message}`, { cause })),
      )
      child.on('exit', (code, signal) =>
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
      )
    })
  } finally {
    process.off('SIGINT', pass).off('SIGTERM', pass).off('SIGHUP', pass)
  }
}
