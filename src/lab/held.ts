// A lab of an ordinary user lives in a user namespace of its own, where this user is root. A program with several
// threads can't enter one, so util-linux's unshare makes it around a holder: a process that does nothing but keep it.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { CLONE_NEWNET, isSysError, mount, MS, setns } from '../sys/libc.ts'
import { Namespace } from '../sys/namespace.ts'
import type { LabDirectory } from './directory.ts'
import { LabError } from './error.ts'
import { executable } from './executable.ts'
import { endProcesses, HOLDER, isAlive, ownRecord, startProcess, type ProcessRecord } from './process.ts'
import { lastLines, until } from './wait.ts'

const READY_MS = 10_000
/** Names the process: the log may hold the word of one before it. */
const holding = ({ pid, startTicks }: ProcessRecord): string =>
  `process ${pid}, begun at ${startTicks}, holds the namespaces of a lab`
/** capabilities(7). */
const CAP_NET_ADMIN = 12n
const CAP_SYS_ADMIN = 21n

/** Root of the namespaces we are in, or inside a holder's: no holder needed. */
export function mayDirectly(): boolean {
  if (process.geteuid?.() !== 0) return false
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  const effective = BigInt(`0x${match?.[1] ?? '0'}`)
  const capable = [CAP_NET_ADMIN, CAP_SYS_ADMIN].every((bit) => ((effective >> bit) & 1n) === 1n)
  return capable && mayReturn() && mayMount()
}

/** Root of a user namespace (`unshare -Ur`) may leave a network namespace that it does not own, and not come back. */
function mayReturn(): boolean {
  using here = Namespace.current()
  return isPermitted(() => setns(here.fd, CLONE_NEWNET))
}

/** Mounting nothing is refused as such (EINVAL) where mounting is allowed at all. */
const mayMount = (): boolean => isPermitted(() => mount('', '/', 'none', MS.bind))

function isPermitted(act: () => void): boolean {
  try {
    act()
  } catch (error) {
    if (isSysError(error, 'EPERM')) return false
    if (!isSysError(error, 'EINVAL')) throw error
  }
  return true
}

/** Starts the holder unless it is alive, and waits until its namespaces can be entered. */
export async function ensureHolder(directory: LabDirectory, id: string, signal: AbortSignal): Promise<void> {
  const before = directory.process(HOLDER)
  if (before !== undefined && isAlive(before)) return
  for (const tool of ['unshare', 'nsenter']) requireTool(tool)
  // Those that outlived their holder live in namespaces that can't be entered any more.
  await endProcesses({ id, namespaces: new Set() })
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
      return lastLines(directory.log(HOLDER)).includes(holding(record)) ? true : undefined
    },
    { deadlineMs: READY_MS, signal, late: () => refusal(directory).message },
  )
}

/** `heddle lab hold`: keeps the namespaces it was started in until it is ended. */
export function hold(): Promise<never> {
  console.log(holding(ownRecord()))
  return new Promise<never>(() => void setInterval(() => undefined, 2 ** 31 - 1))
}

const refusal = (directory: LabDirectory): LabError =>
  new LabError(
    'refused',
    `this machine does not let an ordinary user make user namespaces${lastLines(directory.log(HOLDER))}\nrun it as root, or allow them: sysctl kernel.unprivileged_userns_clone=1 (Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), user.max_user_namespaces above 0`,
  )

export function requireTool(name: string): void {
  const { error } = spawnSync(name, ['--version'], { stdio: 'ignore' })
  if (error !== undefined)
    throw new LabError(
      'refused',
      `${name} of util-linux is needed to enter the lab's namespaces (${error.message}); install it`,
    )
}
