// The configuration of the plugin that does the work (flannel-compat 7.3): the network's, filled in from subnet.env.
import { parseIp } from '../model/ip.ts'
import { parseAddressWithLength } from '../model/prefix.ts'
import { Code, CniError } from './error.ts'
import { isObject, type JsonObject, type JsonValue } from './json.ts'
import type { NetConf } from './net-conf.ts'
import type { SubnetEnv } from './subnet-env.ts'

export function delegateConfig(conf: NetConf, env: SubnetEnv): JsonObject {
  const type = conf.delegate['type'] ?? 'bridge'
  return {
    ipMasq: !env.ipMasq,
    mtu: env.mtuBytes,
    ...(type === 'bridge' ? { isGateway: true } : {}),
    ...conf.delegate,
    name: conf.name,
    type,
    ...(conf.runtimeConfig === undefined ? {} : { runtimeConfig: conf.runtimeConfig }),
    ...(conf.cniVersion === '' ? {} : { cniVersion: conf.cniVersion }),
    ipam: ipamConfig(conf.ipam ?? {}, env),
  }
}

function ipamConfig(ipam: JsonObject, env: SubnetEnv): JsonObject {
  const subnets = [env.subnets.ipv4, env.subnets.ipv6].filter((subnet) => subnet !== undefined)
  const networks = [...env.networks.ipv4, ...env.networks.ipv6]
  return {
    ...ipam,
    type: ipam['type'] ?? 'host-local',
    ranges: subnets.map((subnet) => [{ subnet }]),
    routes: [...inputRoutes(ipam['routes']), ...networks.map((dst) => ({ dst }))],
  }
}

/** Keys of a route that the CNI library knows; others it drops. */
const ROUTE_KEYS = ['dst', 'gw', 'mtu', 'advmss', 'priority', 'table', 'scope'] as const

function inputRoutes(routes: JsonValue | undefined): JsonObject[] {
  if (routes === undefined || routes === null) return []
  if (!Array.isArray(routes)) return refuse('ipam.routes must be a list', routes)
  return (routes as readonly JsonValue[]).map((route) => {
    if (!isObject(route)) return refuse('an entry of ipam.routes must be an object', route)
    const { dst, gw } = route
    if (typeof dst !== 'string' || parseAddressWithLength(dst) === undefined)
      return refuse('dst of a route in ipam.routes must be a CIDR', dst)
    if (gw !== undefined && gw !== null && (typeof gw !== 'string' || parseIp(gw) === undefined))
      return refuse('gw of a route in ipam.routes must be an IP address', gw)
    const known = ROUTE_KEYS.map((key) => [key, route[key] ?? null] as const)
    return Object.fromEntries(known.filter(([, value]) => value !== null))
  })
}

const refuse = (what: string, value: JsonValue | undefined): never => {
  throw new CniError(
    Code.badConfig,
    `failed to load flannel netconf file: ${what}, not ${JSON.stringify(value)}`,
  )
}
