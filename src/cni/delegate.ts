// Who does the work: the bridge built in here where it can, else the plugin of that name in CNI_PATH.
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import type { Call } from './call.ts'
import { Code, CniError } from './error.ts'
import { isObject, formatSorted, type JsonObject, type JsonValue } from './json.ts'
import { beyondBuiltIn } from './bridge/config.ts'

/** What to print on stdout. */
export async function addDelegate(call: Call, config: JsonObject): Promise<string> {
  const plugin = choose(call, config)
  if (plugin !== undefined) return execPlugin(plugin, call, 'ADD', config)
  const [{ addToBridge }, { formatResult }] = await Promise.all([
    import('./bridge/plugin.ts'),
    import('./result.ts'),
  ])
  return formatResult(addToBridge(call, config), call.version)
}

export async function removeDelegate(call: Call, config: JsonObject): Promise<void> {
  const plugin = choose(call, config)
  if (plugin !== undefined) await execPlugin(plugin, call, 'DEL', config)
  else (await import('./bridge/plugin.ts')).removeFromBridge(call, config)
}

/** The path of a plugin to execute; undefined for the one built in. Throws CniError if there is neither. */
function choose(call: Call, config: JsonObject): string | undefined {
  const type = typeof config['type'] === 'string' ? config['type'] : ''
  if (type === 'flannel' || type === '' || type.includes('/') || type === '.' || type === '..')
    throw new CniError(Code.badConfig, `a delegate of type ${JSON.stringify(type)} is not possible`)
  const beyond = type === 'bridge' ? beyondBuiltIn(config) : type
  if (beyond === undefined) return undefined
  const path = call.path.map((directory) => join(directory, type)).find(isExecutable)
  if (path !== undefined) return path
  const why = `failed to find plugin ${JSON.stringify(type)} in path [${call.path.join(' ')}]`
  throw type === 'bridge'
    ? new CniError(
        Code.badConfig,
        `${why}; the built-in bridge has no ${beyond}`,
        beyond === 'ipMasq'
          ? 'start flanneld with --ip-masq, set "ipMasq": false in the delegate, or install the stock bridge plugin'
          : `take ${beyond} out of the network's config, or install the stock plugins`,
      )
    : new CniError(Code.badConfig, why, 'install it there, or choose another delegate "type"')
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Runs it as the CNI library does: config on stdin, the environment as ours; its errors keep their code. */
async function execPlugin(
  path: string,
  call: Call,
  command: 'ADD' | 'DEL',
  config: JsonObject,
): Promise<string> {
  const { spawnSync } = await import('node:child_process')
  const { stdout, status, signal, error } = spawnSync(path, [], {
    input: formatSorted(config),
    env: { ...process.env, CNI_COMMAND: command, CNI_PATH: call.path.join(':') },
    stdio: ['pipe', 'pipe', 'inherit'],
    maxBuffer: 16 << 20,
    encoding: 'utf8',
  })
  if (error !== undefined) throw new CniError(Code.internal, `${path}: ${error.message}`, '', error)
  if (status === 0) return stdout
  const answer = parseObject(stdout)
  const { code, msg, details } = answer ?? {}
  if (typeof code === 'number' && typeof msg === 'string')
    throw new CniError(code, msg, typeof details === 'string' ? details : '')
  const end = signal === null ? `ended with ${status}` : `was killed by ${signal}`
  throw new CniError(Code.internal, `netplugin failed: ${path} ${end}`, stdout.trim())
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const json = JSON.parse(text) as JsonValue
    return isObject(json) ? json : undefined
  } catch {
    return undefined
  }
}
