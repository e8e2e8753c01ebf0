// host-local in this process: gives a pod one address of each range set, and takes them back.
import { parseIp, type Ip } from '../../model/ip.ts'
import { lengthOf } from '../../model/prefix.ts'
import type { Call } from '../call.ts'
import { Code, CniError } from '../error.ts'
import { field, isObject, type JsonObject, type JsonValue } from '../json.ts'
import { candidates, parseRanges, rangeOf, type Range, type RangeSet } from './ranges.ts'
import { DEFAULT_DATA_DIR, Store, type Owner } from './store.ts'

export interface Given {
  readonly ip: Ip
  readonly length: number
  readonly gateway: Ip
}

type Pod = Pick<Call, 'containerId' | 'ifname' | 'args'>

const openStore = (config: JsonObject): Store => {
  const ipam = ipamOf(config)
  const dataDir = field(ipam, 'dataDir')
  return new Store(typeof dataDir === 'string' && dataDir !== '' ? dataDir : DEFAULT_DATA_DIR, nameOf(config))
}
const ipamOf = (config: JsonObject): JsonObject => {
  const ipam = field(config, 'ipam')
  return isObject(ipam) ? ipam : {}
}
const nameOf = (config: JsonObject): string => {
  const name = field(config, 'name')
  if (typeof name === 'string' && name !== '') return name
  throw new CniError(Code.badConfig, 'missing network name')
}

/** One address of each set, or none at all. Throws CniError where a set is used up. */
export function give(config: JsonObject, pod: Pod): readonly Given[] {
  const sets = parseRanges(ipamOf(config))
  const wishes = requested(config, pod.args)
  for (const ip of wishes)
    if (!sets.some((set) => rangeOf(set, ip)))
      throw new CniError(Code.badConfig, `requested IP address ${ip} is in none of the network's ranges`)
  const owner = { containerId: pod.containerId, ifname: pod.ifname }
  using store = openStore(config)
  const taken = new Map(store.entries())
  const given: Given[] = []
  try {
    for (const [index, set] of sets.entries()) {
      checkDuplicate(set, taken, owner)
      const wish = wishes.find((ip) => rangeOf(set, ip))
      const { ip, range } = reserve(store, set, index, owner, taken, wish)
      given.push({ ip, length: lengthOf(range.subnet), gateway: range.gateway })
    }
  } catch (error) {
    for (const { ip } of given) store.release(ip)
    throw error
  }
  return given
}

/** Takes back what the pod's interface has; nothing happens if it has nothing. */
export function takeBack(config: JsonObject, pod: Pod): void {
  using store = openStore(config)
  const owned = [...store.entries()].filter(([, owner]) => owner.containerId === pod.containerId)
  const exact = owned.filter(([, owner]) => owner.ifname === pod.ifname)
  const old = owned.filter(([, owner]) => owner.ifname === undefined)
  for (const [ip] of exact.length > 0 ? exact : old) store.release(ip)
}

/** Takes back what owners have of whom that is said. */
export function takeBackFrom(config: JsonObject, isGone: (owner: Owner) => boolean): void {
  using store = openStore(config)
  for (const [ip, owner] of store.entries()) if (isGone(owner)) store.release(ip)
}

/** What the pod's interface has. */
export function addressesHeld(config: JsonObject, pod: Pod): ReadonlySet<Ip> {
  using store = openStore(config)
  const isPods = ({ containerId, ifname }: Owner) =>
    containerId === pod.containerId && (ifname === undefined || ifname === pod.ifname)
  return new Set([...store.entries()].flatMap(([ip, owner]) => (isPods(owner) ? [ip] : [])))
}

function checkDuplicate(set: RangeSet, taken: ReadonlyMap<Ip, Owner>, pod: Required<Owner>): void {
  for (const [ip, owner] of taken)
    if (
      owner.containerId === pod.containerId &&
      (owner.ifname === undefined || owner.ifname === pod.ifname) &&
      rangeOf(set, ip)
    )
      throw new CniError(
        Code.internal,
        `${ip} has been allocated to ${pod.containerId}, duplicate allocation is not allowed`,
        'a DEL for this container gives it back',
      )
}

function reserve(
  store: Store,
  set: RangeSet,
  index: number,
  owner: Required<Owner>,
  taken: ReadonlyMap<Ip, Owner>,
  wish: Ip | undefined,
): { ip: Ip; range: Range } {
  const range = wish === undefined ? undefined : rangeOf(set, wish)
  if (wish !== undefined && range !== undefined) {
    if (wish === range.gateway) throw new CniError(Code.badConfig, `requested ip ${wish} is subnet's gateway`)
    if (store.reserve(wish, owner, index)) return { ip: wish, range }
    throw new CniError(
      Code.internal,
      `requested IP address ${wish} is not available in range set ${describe(set)}`,
    )
  }
  for (const candidate of candidates(set, store.last(index)))
    if (!taken.has(candidate.ip) && store.reserve(candidate.ip, owner, index)) return candidate
  throw new CniError(
    Code.internal,
    `no IP addresses available in range set: ${describe(set)}`,
    'every address is given out: pods that ended without a DEL may hold some of them',
  )
}

const describe = (set: RangeSet): string => set.map(({ first, last }) => `${first}-${last}`).join(',')

/** Addresses asked for by CNI_ARGS `IP`, `args.cni.ips` and the capability `ips`. */
function requested(config: JsonObject, args: ReadonlyMap<string, string>): readonly Ip[] {
  const inside = (value: JsonValue | undefined, name: string): JsonValue | undefined =>
    isObject(value) ? field(value, name) : undefined
  const texts = [
    args.get('IP') ?? '',
    ...list(inside(inside(field(config, 'args'), 'cni'), 'ips')),
    ...list(inside(field(config, 'runtimeConfig'), 'ips')),
  ].filter((text) => text !== '')
  return texts.map((text) => {
    // The capability may say a length, which the range knows already.
    const ip = parseIp(text.replace(/\/\d+$/, ''))
    if (ip !== undefined) return ip
    throw new CniError(Code.badConfig, `requested IP address ${JSON.stringify(text)} can't be read`)
  })
}

const list = (value: JsonValue | undefined): string[] =>
  Array.isArray(value) ? (value as readonly JsonValue[]).map(String) : []
