// The result that a CHECK compares with: what ADD answered, and plugins after it in the list added to.
import { isIPv4, parseIp, type Ip } from '../model/ip.ts'
import { parseMac, type Mac } from '../model/mac.ts'
import { parseAddressWithLength, prefixOf, type Prefix } from '../model/prefix.ts'
import { Code, CniError } from './error.ts'
import { field, isObject, type JsonObject, type JsonValue } from './json.ts'

export interface PreviousResult {
  readonly interfaces: readonly {
    readonly name: string
    readonly mac: Mac | undefined
    readonly isInPod: boolean
  }[]
  readonly ips: readonly {
    readonly ip: Ip
    readonly length: number
    readonly gateway: Ip | undefined
    /** Index in `interfaces`. */
    readonly interface: number | undefined
  }[]
  readonly routes: readonly {
    readonly dst: Prefix
    readonly gw: Ip | undefined
    readonly table: number | undefined
  }[]
}

/** Of CNI 0.4.0 and later, from when on there is CHECK. Throws CniError. */
export const parsePreviousResult = (json: JsonObject): PreviousResult => ({
  interfaces: listOf(json, 'interfaces').map((one) => ({
    name: textOf(one, 'name') ?? refuse(one),
    mac: parseMac(textOf(one, 'mac') ?? ''),
    isInPod: (textOf(one, 'sandbox') ?? '') !== '',
  })),
  ips: listOf(json, 'ips').map((one) => {
    const address = parseAddressWithLength(textOf(one, 'address') ?? '') ?? refuse(one)
    const index = field(one, 'interface')
    return {
      ...address,
      gateway: parseIp(textOf(one, 'gateway') ?? ''),
      interface: typeof index === 'number' ? index : undefined,
    }
  }),
  routes: listOf(json, 'routes').map((one) => {
    const dst = parseAddressWithLength(textOf(one, 'dst') ?? '') ?? refuse(one)
    const table = field(one, 'table')
    return {
      dst: prefixOf(dst.ip, dst.length),
      gw: parseIp(textOf(one, 'gw') ?? ''),
      table: typeof table === 'number' ? table : undefined,
    }
  }),
})

/**
 * The same with the gateway of each route named: the stock bridge leaves it out of what it answers, and then finds no such
 * route at its own CHECK.
 */
export function withGateways(json: JsonObject): JsonObject {
  const { ips } = parsePreviousResult(json)
  const routes = listOf(json, 'routes').map((route) => {
    const isIPv6 = textOf(route, 'dst')?.includes(':') === true
    const gw = textOf(route, 'gw') ?? ips.find(({ ip }) => isIPv4(ip) !== isIPv6)?.gateway
    return gw === undefined ? route : { ...route, gw }
  })
  return { ...json, routes }
}

function listOf(json: JsonObject, name: string): readonly JsonObject[] {
  const list = field(json, name) ?? []
  if (!Array.isArray(list)) return refuse(list)
  return (list as readonly JsonValue[]).map((one) => (isObject(one) ? one : refuse(one)))
}

function textOf(json: JsonObject, name: string): string | undefined {
  const value = field(json, name)
  return typeof value === 'string' ? value : undefined
}

const refuse = (json: JsonValue): never => {
  throw new CniError(Code.decode, `prevResult can't be read: ${JSON.stringify(json)}`)
}
