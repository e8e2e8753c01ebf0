// A lab of an ordinary user lives in a user namespace of its own, where this user is root. A program with several
// threads can't enter one, so util-linux's unshare makes it around a holder process that does nothing but keep it, and
// its nsenter runs heddle again inside.
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { DIRECTORY_VARIABLE, labDirectory, type LabDirectory } from './directory.ts'
import { LabError } from './error.ts'
import { executable } from './executable.ts'
import { isAlive, MARKER, startProcess } from './process.ts'
import { lastLines, until } from './wait.ts'

const HOLDER = 'holder'
const READY_MS = 10_000
/** Set for the heddle inside: the directory it was called in, which nsenter leaves. */
const CALLED_IN = 'HEDDLE_CALLED_IN'
/** capabilities(7). */
const CAP_NET_ADMIN = 12n
const CAP_SYS_ADMIN = 21n

/** Root, or inside a holder's namespaces: no holder needed. */
export function mayDirectly(): boolean {
  if (process.geteuid?.() !== 0) return false
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  const effective = BigInt(`0x${match?.[1] ?? '0'}`)
  return [CAP_NET_ADMIN, CAP_SYS_ADMIN].every((bit) => ((effective >> bit) & 1n) === 1n)
}

export const isInside = (): boolean => process.env[CALLED_IN] !== undefined

/** Called first thing inside: back to where the person is. */
export function returnToCaller(): void {
  const directory = process.env[CALLED_IN]
  if (directory !== undefined) process.chdir(directory)
}

/** Whether this lab is a held one, its holder dead or alive. */
export const holderStarted = (directory: LabDirectory): boolean => directory.process(HOLDER) !== undefined

const holderAlive = (directory: LabDirectory): boolean => {
  const record = directory.process(HOLDER)
  return record !== undefined && isAlive(record)
}

export interface Held {
  readonly pid: number
  /** The holder's user namespace, as in /proc/PID/ns: every process in it is the lab's. */
  readonly namespace: string
}

/** The holder while it is alive, seen from outside. */
export function heldBy(directory: LabDirectory): Held | undefined {
  const record = directory.process(HOLDER)
  if (record === undefined || !isAlive(record)) return undefined
  const namespace = readlinkSync(`/proc/${record.pid}/ns/user`)
  return namespace === readlinkSync('/proc/self/ns/user') ? undefined : { pid: record.pid, namespace }
}

/** Starts the holder unless it is alive, and waits until its namespaces can be entered. */
export async function ensureHolder(directory: LabDirectory, id: string, signal: AbortSignal): Promise<void> {
  if (holderAlive(directory)) return
  for (const tool of ['unshare', 'nsenter']) requireTool(tool)
  const record = startProcess({
    file: 'unshare',
    args: [
      '--user',
      '--map-root-user',
      '--net',
      '--mount',
      '--',
      executable.file,
      ...executable.prefix,
      'lab',
      'hold',
    ],
    namespace: undefined,
    logFile: directory.log(HOLDER),
    id,
  })
  directory.writeProcess(HOLDER, record)
  await until(
    () => {
      if (!isAlive(record)) throw refusal(directory)
      return lastLines(directory.log(HOLDER)).includes(HOLDING) ? true : undefined
    },
    { deadlineMs: READY_MS, signal, late: () => refusal(directory).message },
  )
}

const HOLDING = 'holding the namespaces of a lab'

/** `heddle lab hold`: keeps the namespaces it was started in until it is ended. */
export function hold(): Promise<never> {
  console.log(HOLDING)
  return new Promise<never>(() => void setInterval(() => undefined, 2 ** 31 - 1))
}

const refusal = (directory: LabDirectory): LabError =>
  new LabError(
    'refused',
    `this machine does not let an ordinary user make user namespaces${lastLines(directory.log(HOLDER))}\nrun it as root, or allow them: sysctl kernel.unprivileged_userns_clone=1 (Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), user.max_user_namespaces above 0`,
  )

function requireTool(name: string): void {
  const { error } = spawnSync(name, ['--version'], { stdio: 'ignore' })
  if (error !== undefined)
    throw new LabError(
      'refused',
      `a lab of an ordinary user needs ${name} of util-linux (${error.message}); or run it as root`,
    )
}

/** Runs `heddle lab …` inside, on this terminal; its exit code. SIGTERM and SIGINT are passed on. */
export async function runInside(
  directory: LabDirectory,
  id: string,
  args: readonly string[],
): Promise<number> {
  const holder = directory.process(HOLDER)
  if (holder === undefined || !isAlive(holder))
    throw new LabError(
      'not-up',
      'the process that holds this lab is gone; `heddle lab down` removes what is left of it',
    )
  const child = spawn(
    'nsenter',
    [
      '--preserve-credentials',
      '--user',
      '--mount',
      '--net',
      `--target=${holder.pid}`,
      '--',
      executable.file,
      ...executable.prefix,
      'lab',
      ...args,
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
  process.on('SIGINT', pass).on('SIGTERM', pass)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('exit', (code, signal) =>
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
      )
    })
  } finally {
    process.off('SIGINT', pass).off('SIGTERM', pass)
  }
}
