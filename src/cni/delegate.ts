// Who does the work: the bridge built in here where it can, else the plugin of that name in CNI_PATH.
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { beyondBuiltIn } from './bridge/config.ts'
import type { Call } from './call.ts'
import { Code, CniError } from './error.ts'
import type { JsonObject } from './json.ts'

export interface Delegate {
  /** What a failed ADD of it had made is gone by itself. */
  readonly tidy: boolean
  /** Returns what to print on stdout. */
  add(): Promise<string>
  remove(): Promise<void>
  /** Throws CniError if something of the pod's is not as `previous`, the result of its ADD, has it. */
  check(previous: JsonObject): Promise<void>
  /** Throws CniError if an ADD can't succeed now. */
  status(): Promise<void>
  /** `config` has the attachments that are there. Own state is not the delegate's to collect. */
  collectGarbage(config: JsonObject): Promise<void>
}

/** Throws CniError if neither this program nor CNI_PATH has what the config asks for. */
export function findDelegate(call: Call, config: JsonObject): Delegate {
  const type = typeof config['type'] === 'string' ? config['type'] : ''
  if (type === 'flannel' || type === '' || type.includes('/') || type === '.' || type === '..')
    throw new CniError(Code.badConfig, `a delegate of type ${JSON.stringify(type)} is not possible`)
  const beyond = type === 'bridge' ? beyondBuiltIn(config) : type
  if (beyond === undefined) return builtIn(call, config)
  const path = call.path.map((directory) => join(directory, type)).find(isExecutable)
  if (path !== undefined) return inPath(path, call, config)
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

const builtIn = (call: Call, config: JsonObject): Delegate => ({
  tidy: true,
  async add() {
    const { addToBridge } = await import('./bridge/plugin.ts')
    const { formatResult } = await import('./result.ts')
    return formatResult(addToBridge(call, config), call.version)
  },
  async remove() {
    const { removeFromBridge } = await import('./bridge/plugin.ts')
    removeFromBridge(call, config)
  },
  async check(previous) {
    const { checkOnBridge } = await import('./bridge/check.ts')
    const { parsePreviousResult } = await import('./prev-result.ts')
    checkOnBridge(call, config, parsePreviousResult(previous))
  },
  async status() {},
  async collectGarbage() {},
})

const inPath = (path: string, call: Call, config: JsonObject): Delegate => ({
  tidy: false,
  async add() {
    const { execPlugin } = await import('./exec.ts')
    return execPlugin(path, call, 'ADD', config)
  },
  async remove() {
    const { execPlugin } = await import('./exec.ts')
    execPlugin(path, call, 'DEL', config)
  },
  async check(previous) {
    const { execPlugin } = await import('./exec.ts')
    const { withGateways } = await import('./prev-result.ts')
    const prevResult = config['type'] === 'bridge' ? withGateways(previous) : previous
    execPlugin(path, call, 'CHECK', { ...config, prevResult })
  },
  async status() {
    const { execPlugin, speaks } = await import('./exec.ts')
    if (speaks(path, call.version)) execPlugin(path, call, 'STATUS', config)
  },
  async collectGarbage(withAttachments) {
    const { execPlugin, speaks } = await import('./exec.ts')
    if (speaks(path, call.version)) execPlugin(path, call, 'GC', withAttachments)
  },
})

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
