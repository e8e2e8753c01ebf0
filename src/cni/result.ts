// What an ADD answers, in the form that each CNI version has for it (CNI spec "ADD Success", and 0.2.0's "Result").
import { isIPv4, type Ip } from '../model/ip.ts'
import type { Mac } from '../model/mac.ts'
import type { Prefix } from '../model/prefix.ts'
import type { JsonObject, JsonValue } from './json.ts'
import { atLeast, type CniVersion } from './versions.ts'

export interface Result {
  readonly interfaces: readonly Interface[]
  readonly ips: readonly Address[]
  readonly routes: readonly Route[]
  /** As the config gave it. */
  readonly dns: JsonObject
}
export interface Interface {
  readonly name: string
  readonly mac: Mac | undefined
  readonly mtuBytes: number
  /** Path of the pod's namespace; undefined on the host. */
  readonly sandbox: string | undefined
}
export interface Address {
  readonly ip: Ip
  readonly length: number
  readonly gateway: Ip
  /** Index in `interfaces`. */
  readonly interface: number
}
export interface Route {
  readonly dst: Prefix
  readonly gw?: Ip
  readonly priority?: number
  readonly table?: number
}

/** Indented by four, as the CNI library prints. */
export const formatResult = (result: Result, version: CniVersion): string =>
  JSON.stringify(atLeast(version, '0.3.0') ? modern(result, version) : old(result, version), null, 4)

const modern = (r: Result, version: CniVersion): JsonValue => ({
  cniVersion: version,
  interfaces: r.interfaces.map((i) => ({
    name: i.name,
    ...(i.mac === undefined ? {} : { mac: i.mac }),
    ...(atLeast(version, '1.1.0') ? { mtu: i.mtuBytes } : {}),
    ...(i.sandbox === undefined ? {} : { sandbox: i.sandbox }),
  })),
  ips: r.ips.map((a) => ({
    ...(atLeast(version, '1.0.0') ? {} : { version: isIPv4(a.ip) ? '4' : '6' }),
    interface: a.interface,
    address: `${a.ip}/${a.length}`,
    gateway: a.gateway,
  })),
  routes: r.routes.map((route) => formatRoute(route, version)),
  dns: r.dns,
})

/** One address a family, each with its routes. */
function old(r: Result, version: CniVersion): JsonValue {
  const family = (wanted: boolean): JsonObject | undefined => {
    const address = r.ips.find(({ ip }) => isIPv4(ip) === wanted)
    if (address === undefined) return undefined
    const routes = r.routes.filter(({ dst }) => !dst.includes(':') === wanted)
    return {
      ip: `${address.ip}/${address.length}`,
      gateway: address.gateway,
      ...(routes.length > 0 ? { routes: routes.map((route) => formatRoute(route, version)) } : {}),
    }
  }
  const [ip4, ip6] = [family(true), family(false)]
  return {
    cniVersion: version,
    ...(ip4 === undefined ? {} : { ip4 }),
    ...(ip6 === undefined ? {} : { ip6 }),
    dns: r.dns,
  }
}

const formatRoute = ({ dst, gw, priority, table }: Route, version: CniVersion): JsonObject => ({
  dst,
  ...(gw === undefined ? {} : { gw }),
  ...(priority === undefined || !atLeast(version, '1.1.0') ? {} : { priority }),
  ...(table === undefined || !atLeast(version, '1.1.0') ? {} : { table }),
})
