// Runs a command in the network namespace of a host, a pod or another part of the lab, on this terminal.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { DIRECTORY_VARIABLE, type LabDirectory, type LabRecord } from './directory.ts'
import { LabError } from './error.ts'
import { executable } from './executable.ts'
import { confFile, VARIABLES } from './host.ts'
import { LabNamespaces } from './namespaces.ts'
import { namespacesOf, type LabPlan } from './plan.ts'
import { MARKER } from './process.ts'
import { enterOwnSysfs } from './sysfs.ts'

/** The command's exit code; 128 + its signal; 127 if it isn't there. */
export async function execIn(
  directory: LabDirectory,
  record: LabRecord,
  plan: LabPlan,
  name: string,
  command: readonly string[],
): Promise<number> {
  const [file, ...args] = command
  if (file === undefined)
    throw new LabError('usage', `what shall run in ${name}? e.g. heddle lab exec ${name} -- ip route`)
  if (!namespacesOf(plan).includes(name))
    throw new LabError(
      'usage',
      `the lab has no ${name}; it has hosts ${names(plan.hosts)}, their pods (${names(plan.hosts[0]?.pods ?? [])} …), store, underlay and outside`,
    )
  using namespaces = new LabNamespaces(directory)
  const child = namespaces.get(name).run(() => {
    enterOwnSysfs()
    return spawn(file, args, {
      stdio: 'inherit',
      env: environmentIn(directory, record, plan, name),
    })
  })
  // A Ctrl-C reaches the command by itself: it decides.
  const ignore = () => undefined
  const pass = (signal: NodeJS.Signals) => void child.kill(signal)
  process.on('SIGINT', ignore).on('SIGTERM', pass).on('SIGHUP', pass)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', (error: NodeJS.ErrnoException) =>
        error.code === 'ENOENT' || error.code === 'EACCES'
          ? resolve(missing(file, error.code))
          : reject(error),
      )
      child.on('exit', (code, signal) =>
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
      )
    })
  } finally {
    process.off('SIGINT', ignore).off('SIGTERM', pass).off('SIGHUP', pass)
  }
}

/** This heddle comes first in PATH; on a host it reads that host's options, and no others, whoever's flanneld runs there. */
function environmentIn(
  directory: LabDirectory,
  record: LabRecord,
  plan: LabPlan,
  name: string,
): NodeJS.ProcessEnv {
  const isHost = plan.hosts.some((host) => host.name === name)
  const others = Object.entries(process.env).filter(([key]) => !isHost || !key.startsWith(VARIABLES))
  return {
    ...Object.fromEntries(others),
    ...(isHost ? { [`${VARIABLES}CONFIG_FILE`]: confFile(directory, name) } : {}),
    PATH: `${executable.directory}:${process.env['PATH'] ?? ''}`,
    [MARKER]: record.id,
    [DIRECTORY_VARIABLE]: directory.path,
  }
}

/** As a shell has it. */
function missing(file: string, code: 'ENOENT' | 'EACCES'): number {
  console.error(
    `heddle: ${file}: ${code === 'ENOENT' ? 'there is no such command' : 'it may not be executed'}`,
  )
  return code === 'ENOENT' ? 127 : 126
}

const names = (items: readonly { readonly name: string }[]): string =>
  items.map((item) => item.name).join(', ')
