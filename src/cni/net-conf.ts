// The flannel plugin's own configuration (flannel-compat 7.1): where subnet.env and state are, and what to hand on
// to the delegate.
import { Code, CniError } from './error.ts'
import { field, isObject, type JsonObject } from './json.ts'

const DEFAULT_SUBNET_FILE = '/run/flannel/subnet.env'
/** Of heddle's flanneld (--status-socket). */
const DEFAULT_STATUS_SOCKET = '/run/heddle/flanneld.sock'
const DEFAULT_DATA_DIR = '/var/lib/cni/flannel'

export interface NetConf {
  readonly name: string
  readonly type: string
  /** Handed on as it is; empty if the config has none. */
  readonly cniVersion: string
  readonly subnetFile: string
  readonly dataDir: string
  /** Not upstream's: where STATUS asks heddle's flanneld. */
  readonly statusSocket: string
  /** Its keys are the delegate's own and matched exactly. */
  readonly delegate: JsonObject
  readonly ipam: JsonObject | undefined
  readonly runtimeConfig: JsonObject | undefined
}

export function parseNetConf(config: JsonObject): NetConf {
  const conf: NetConf = {
    name: text(config, 'name', ''),
    type: text(config, 'type', ''),
    cniVersion: text(config, 'cniVersion', ''),
    subnetFile: text(config, 'subnetFile', '') || DEFAULT_SUBNET_FILE,
    dataDir: text(config, 'dataDir', '') || DEFAULT_DATA_DIR,
    statusSocket: text(config, 'statusSocket', '') || DEFAULT_STATUS_SOCKET,
    delegate: object(config, 'delegate') ?? {},
    ipam: object(config, 'ipam'),
    runtimeConfig: object(config, 'runtimeConfig'),
  }
  checkDelegate(conf.delegate)
  return conf
}

function checkDelegate(delegate: JsonObject): void {
  const refuse = (message: string): never => {
    throw new CniError(Code.badConfig, message)
  }
  if (Object.hasOwn(delegate, 'type') && typeof delegate['type'] !== 'string')
    refuse("'delegate' dictionary, if present, must have (string) 'type' field")
  if (Object.hasOwn(delegate, 'name'))
    refuse("'delegate' dictionary must not have 'name' field, it'll be set by flannel")
  if (Object.hasOwn(delegate, 'ipam'))
    refuse("'delegate' dictionary must not have 'ipam' field, it'll be set by flannel")
}

function text(config: JsonObject, name: string, otherwise: string): string {
  const value = field(config, name) ?? otherwise
  return typeof value === 'string' ? value : refuseType(name, 'a string', value)
}

function object(config: JsonObject, name: string): JsonObject | undefined {
  const value = field(config, name)
  return value === undefined || isObject(value) ? value : refuseType(name, 'an object', value)
}

const refuseType = (name: string, wanted: string, value: unknown): never => {
  throw new CniError(
    Code.badConfig,
    `failed to load flannel netconf file: ${name} must be ${wanted}, not ${JSON.stringify(value)}`,
  )
}
