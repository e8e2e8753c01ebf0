// Which subnet a new host gets: a random one of the first free ones, as upstream chooses (flannel-compat 3.2.4). Pure.
import { ipToValue, ipv4ToNumber, type Ip, type IPv4 } from './ip.ts'
import { allows, subnetAt, subnetCount, type NetworkConfig, type NetworkRange } from './net-config.ts'
import { baseOf, familyOfPrefix, lengthOf, overlaps, sizeOf, type Prefix } from './prefix.ts'

/** A host's place in the network: a subnet of each family that the config has. */
export interface Place {
  readonly ipv4: Prefix | undefined
  readonly ipv6: Prefix | undefined
}

/** Hosts that start at once choose among this many, so that few of them collide. */
const CANDIDATES = 100

/**
 * A free place under `config`, clear of every prefix in `taken` (of any length, of either family): a preferred subnet
 * where one is free and allowed, each family by itself. Undefined if a family has no free subnet left. `random`
 * yields numbers in [0, 1).
 */
export function allocate(
  config: NetworkConfig,
  taken: readonly Prefix[],
  preferred: readonly Prefix[],
  random: () => number,
): Place | undefined {
  const choose = (range: NetworkRange) =>
    preferred.find((p) => allows(range, p) && !taken.some((t) => overlaps(t, p))) ??
    pick(range, taken, random)
  const ipv4 = config.ipv4 && choose(config.ipv4)
  const ipv6 = config.ipv6 && choose(config.ipv6)
  const isFull = (config.ipv4 && ipv4 === undefined) || (config.ipv6 && ipv6 === undefined)
  return isFull ? undefined : { ipv4, ipv6 }
}

/** Whether a host may hold that place under `config`. */
export const suits = (config: NetworkConfig, place: Place): boolean =>
  suitsRange(config.ipv4, place.ipv4) && suitsRange(config.ipv6, place.ipv6)

const suitsRange = (range: NetworkRange | undefined, subnet: Prefix | undefined): boolean =>
  range === undefined ? subnet === undefined : subnet !== undefined && allows(range, subnet)

function pick(range: NetworkRange, taken: readonly Prefix[], random: () => number): Prefix | undefined {
  const free = firstFree(range, taken, CANDIDATES)
  const index = free[Math.floor(random() * free.length)]
  return index === undefined ? undefined : subnetAt(range, BigInt(index))
}

/** The indices of the first free subnets of the range, at most `limit`: one sweep over the taken ones in order. */
function firstFree(range: NetworkRange, taken: readonly Prefix[], limit: number): number[] {
  const count = Number(subnetCount(range))
  const free: number[] = []
  let next = 0
  for (const [first, last] of takenIndices(range, taken)) {
    while (next < first && free.length < limit) free.push(next++)
    if (last >= next) next = last + 1
    if (free.length === limit) return free
  }
  while (next < count && free.length < limit) free.push(next++)
  return free
}

/** First and last index. What is beyond 2^53, where numbers aren't exact, counts as infinite: as taken to the end. */
type Indices = readonly [first: number, last: number]

/** What the taken prefixes cover of the range, in order of the first. */
function takenIndices(range: NetworkRange, taken: readonly Prefix[]): Indices[] {
  const family = familyOfPrefix(range.network)
  const cover = family === 'ipv4' ? coverOfV4(range) : coverOfV6(range)
  return taken
    .map((prefix) => (familyOfPrefix(prefix) === family ? cover(prefix) : undefined))
    .filter((indices) => indices !== undefined)
    .sort((a, b) => a[0] - b[0])
}

type Cover = (prefix: Prefix) => Indices | undefined

/** In plain numbers: there may be tens of thousands. */
function coverOfV4(range: NetworkRange): Cover {
  const size = 2 ** (32 - range.subnetLength)
  const min = valueOfV4(range.min)
  const end = valueOfV4(range.max) + size - 1
  return (prefix) => {
    const from = valueOfV4(baseOf(prefix))
    const to = from + 2 ** (32 - lengthOf(prefix)) - 1
    if (to < min || from > end) return undefined
    return [Math.floor(Math.max(from - min, 0) / size), Math.floor((Math.min(to, end) - min) / size)]
  }
}

function coverOfV6(range: NetworkRange): Cover {
  const step = BigInt(128 - range.subnetLength)
  const min = ipToValue(range.min)
  const end = ipToValue(range.max) + (1n << step) - 1n
  return (prefix) => {
    const from = ipToValue(baseOf(prefix))
    const to = from + sizeOf(prefix) - 1n
    if (to < min || from > end) return undefined
    return [from < min ? 0 : indexOf((from - min) >> step), indexOf(((to > end ? end : to) - min) >> step)]
  }
}

const indexOf = (value: bigint): number => (value > Number.MAX_SAFE_INTEGER ? Infinity : Number(value))
const valueOfV4 = (ip: Ip): number => ipv4ToNumber(ip as IPv4)
