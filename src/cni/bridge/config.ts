// What the built-in bridge understands of a delegate's configuration, and what it leaves to the stock plugins.
import { parseIp } from '../../model/ip.ts'
import { parseMac, type Mac } from '../../model/mac.ts'
import { parseAddressWithLength } from '../../model/prefix.ts'
import { prefixOf } from '../../model/prefix.ts'
import { Code, CniError } from '../error.ts'
import { field, isObject, type JsonObject, type JsonValue } from '../json.ts'
import type { Route } from '../result.ts'

export interface BridgeConfig {
  readonly bridge: string
  /** The bridge carries the gateway's address. */
  readonly isGateway: boolean
  /** And it is the pod's default gateway. */
  readonly isDefaultGateway: boolean
  /** Replace another address that the bridge has. */
  readonly forceAddress: boolean
  readonly hairpin: boolean
  /** Undefined leaves it to the kernel. */
  readonly mtuBytes: number | undefined
  /** The pod's; undefined takes one at random. */
  readonly mac: Mac | undefined
  readonly routes: readonly Route[]
  readonly dns: JsonObject
}

/** Switches of the stock bridge that the built-in one hasn't got. */
const ONLY_STOCK = [
  'ipMasq',
  'promiscMode',
  'vlan',
  'vlanTrunk',
  'macspoofchk',
  'portIsolation',
  'enabledad',
  'disableContainerInterface',
] as const

/** The first thing asked for that the built-in bridge and IPAM don't do; undefined if they do all of it. */
export function beyondBuiltIn(config: JsonObject): string | undefined {
  for (const key of ONLY_STOCK) if (isAsked(field(config, key))) return key
  const ipam = field(config, 'ipam')
  if (!isObject(ipam) || field(ipam, 'type') !== 'host-local') return 'ipam.type'
  if (isAsked(field(ipam, 'resolvConf'))) return 'ipam.resolvConf'
  const runtime = field(config, 'runtimeConfig')
  if (isObject(runtime) && isAsked(field(runtime, 'ipRanges'))) return 'runtimeConfig.ipRanges'
  const routes = field(ipam, 'routes')
  for (const key of ['mtu', 'advmss', 'scope'])
    if (Array.isArray(routes) && routes.some((route: JsonValue) => isObject(route) && isAsked(route[key])))
      return `${key} of a route`
  return undefined
}

const isAsked = (value: JsonValue | undefined): boolean =>
  Array.isArray(value) ? value.length > 0 : Boolean(value)

export function parseBridgeConfig(config: JsonObject, args: ReadonlyMap<string, string>): BridgeConfig {
  const isDefaultGateway = bool(config, 'isDefaultGateway')
  const mtu = field(config, 'mtu') ?? 0
  if (typeof mtu !== 'number' || !Number.isInteger(mtu) || mtu < 0)
    return refuse(`mtu must be a number of bytes, not ${JSON.stringify(mtu)}`)
  const bridge = field(config, 'bridge') ?? 'cni0'
  if (typeof bridge !== 'string' || !/^[^/:\s]{1,15}$/.test(bridge))
    return refuse(`bridge must be the name of a link, not ${JSON.stringify(bridge)}`)
  const ipam = field(config, 'ipam')
  const dns = field(config, 'dns')
  return {
    bridge,
    isGateway: isDefaultGateway || bool(config, 'isGateway'),
    isDefaultGateway,
    forceAddress: bool(config, 'forceAddress'),
    hairpin: bool(config, 'hairpinMode'),
    mtuBytes: mtu === 0 ? undefined : mtu,
    mac: macOf(config, args),
    routes: isObject(ipam) ? routesOf(field(ipam, 'routes')) : [],
    dns: isObject(dns) ? dns : {},
  }
}

function bool(config: JsonObject, name: string): boolean {
  const value = field(config, name) ?? false
  return typeof value === 'boolean'
    ? value
    : refuse(`${name} must be true or false, not ${JSON.stringify(value)}`)
}

/** CNI_ARGS `MAC`, `args.cni.mac`, the capability `mac`: the last one given counts. */
function macOf(config: JsonObject, args: ReadonlyMap<string, string>): Mac | undefined {
  const inside = (value: JsonValue | undefined, name: string): JsonValue | undefined =>
    isObject(value) ? field(value, name) : undefined
  const given = [
    inside(field(config, 'runtimeConfig'), 'mac'),
    inside(inside(field(config, 'args'), 'cni'), 'mac'),
    args.get('MAC'),
  ].find((value) => value !== undefined && value !== '')
  if (given === undefined) return undefined
  const mac = typeof given === 'string' ? parseMac(given) : undefined
  return mac ?? refuse(`mac must be a MAC address, not ${JSON.stringify(given)}`)
}

function routesOf(routes: JsonValue | undefined): Route[] {
  if (routes === undefined) return []
  if (!Array.isArray(routes)) return refuse(`ipam.routes must be a list, not ${JSON.stringify(routes)}`)
  return (routes as readonly JsonValue[]).map((json) => {
    const route = isObject(json) ? json : {}
    const dst = typeof route['dst'] === 'string' ? parseAddressWithLength(route['dst']) : undefined
    const gw = typeof route['gw'] === 'string' ? parseIp(route['gw']) : undefined
    if (dst === undefined || (isAsked(route['gw']) && gw === undefined))
      return refuse(`a route can't be read: ${JSON.stringify(json)}`)
    const { priority, table } = route
    return {
      dst: prefixOf(dst.ip, dst.length),
      ...(gw === undefined ? {} : { gw }),
      ...(typeof priority === 'number' ? { priority } : {}),
      ...(typeof table === 'number' ? { table } : {}),
    }
  })
}

const refuse = (message: string): never => {
  throw new CniError(Code.badConfig, message)
}
