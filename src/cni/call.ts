// One call of the plugin: environment and stdin, checked as the CNI library checks them (flannel-compat 7.5).
import { Code, CniError, messageOf } from './error.ts'
import { field, isObject, type JsonObject, type JsonValue } from './json.ts'
import { parseVersion, type CniVersion } from './versions.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Call {
  readonly command: Command
  readonly containerId: string
  /** Path of the pod's network namespace; empty on a DEL of a pod that is gone. */
  readonly netns: string
  readonly ifname: string
  /** CNI_ARGS, `KEY=VALUE;…`. */
  readonly args: ReadonlyMap<string, string>
  /** Directories that hold plugins. */
  readonly path: readonly string[]
  /** The runtime insists that the pod's namespace may be our own (CNI_NETNS_OVERRIDE). */
  readonly anyNetns: boolean
  readonly version: CniVersion
  readonly config: JsonObject
}

const REQUIRED = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  GC: ['CNI_PATH'],
  STATUS: ['CNI_PATH'],
} as const
export type Command = keyof typeof REQUIRED

/** Variables that are missing or wrong are named before stdin is read, so that a person who types it gets an answer. */
export function commandOf(env: Environment): Command {
  const command = env['CNI_COMMAND'] ?? ''
  if (!Object.hasOwn(REQUIRED, command)) throw bad(`unknown CNI_COMMAND: ${command}`)
  const missing = REQUIRED[command as Command].filter((name) => (env[name] ?? '') === '')
  if (missing.length > 0) throw bad(`required env variables [${missing.join(',')}] missing`)
  return command as Command
}

export function parseCall(command: Command, env: Environment, stdin: string): Call {
  const config = parseConfig(stdin)
  const call: Call = {
    command,
    containerId: env['CNI_CONTAINERID'] ?? '',
    netns: env['CNI_NETNS'] ?? '',
    ifname: env['CNI_IFNAME'] ?? '',
    args: parseArgs(env['CNI_ARGS'] ?? ''),
    path: (env['CNI_PATH'] ?? '').split(':').filter((directory) => directory !== ''),
    anyNetns: /^(?:true|1)$/i.test(env['CNI_NETNS_OVERRIDE'] ?? ''),
    version: parseVersion(text(config, 'cniVersion')),
    config,
  }
  checkName(call.config)
  if (command !== 'GC' && command !== 'STATUS') {
    if (!NAME.test(call.containerId))
      throw bad(`invalid characters in containerID: ${JSON.stringify(call.containerId)}`)
    checkIfname(call.ifname)
  }
  return call
}

/** What names a network or a container; it goes into paths. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

function parseConfig(stdin: string): JsonObject {
  let json: JsonValue
  try {
    json = JSON.parse(stdin) as JsonValue
  } catch (cause) {
    throw new CniError(Code.decode, `failed to load netconf: ${messageOf(cause)}`, '', cause)
  }
  if (!isObject(json)) throw new CniError(Code.decode, 'failed to load netconf: it is not a JSON object')
  return json
}

function checkName(config: JsonObject): void {
  const name = text(config, 'name') ?? ''
  if (name === '') throw new CniError(Code.badConfig, 'missing network name')
  if (!NAME.test(name))
    throw new CniError(Code.badConfig, `invalid characters found in network name ${JSON.stringify(name)}`)
}

function checkIfname(ifname: string): void {
  const why =
    ifname.length > 15
      ? 'is too long (15 characters are the most)'
      : ifname === '.' || ifname === '..'
        ? 'is . or ..'
        : /[/:\s]/.test(ifname)
          ? 'contains / or : or whitespace characters'
          : undefined
  if (why !== undefined) throw bad(`interface name ${JSON.stringify(ifname)} ${why}`)
}

/** `K=V;K=V`; upstream's library refuses a pair without `=`. */
function parseArgs(value: string): ReadonlyMap<string, string> {
  const pairs = value.split(';').filter((pair) => pair !== '')
  return new Map(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 0) throw bad(`CNI_ARGS: invalid pair ${JSON.stringify(pair)}`)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

function text(config: JsonObject, name: string): string | undefined {
  const value = field(config, name)
  if (value === undefined || typeof value === 'string') return value
  throw new CniError(
    Code.decode,
    `failed to load netconf: ${name} must be a string, not ${JSON.stringify(value)}`,
  )
}

const bad = (message: string): CniError => new CniError(Code.badEnvironment, message)
