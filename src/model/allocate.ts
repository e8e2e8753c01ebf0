// Which subnet a new host gets: a random one of the first free ones, as upstream chooses (flannel-compat 3.2.4). Pure.
import { bitsOf, ipToValue } from './ip.ts'
import { allows, subnetAt, subnetCount, type NetworkConfig, type NetworkRange } from './net-config.ts'
import { baseOf, familyOfPrefix, overlaps, sizeOf, type Prefix } from './prefix.ts'

/** A host's place in the network: always IPv4, and IPv6 where the config has it. */
export interface Place {
  readonly ipv4: Prefix
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
  config: NetworkConfig & { readonly ipv4: NetworkRange },
  taken: readonly Prefix[],
  preferred: readonly Prefix[],
  random: () => number,
): Place | undefined {
  const choose = (range: NetworkRange) =>
    preferred.find((p) => allows(range, p) && !taken.some((t) => overlaps(t, p))) ??
    pick(range, taken, random)
  const ipv4 = choose(config.ipv4)
  const ipv6 = config.ipv6 && choose(config.ipv6)
  return ipv4 === undefined || (config.ipv6 && ipv6 === undefined) ? undefined : { ipv4, ipv6 }
}

/** Whether a host may hold that place under `config`. */
export const suits = (config: NetworkConfig, place: Place): boolean =>
  config.ipv4 !== undefined &&
  allows(config.ipv4, place.ipv4) &&
  (config.ipv6 === undefined
    ? place.ipv6 === undefined
    : place.ipv6 !== undefined && allows(config.ipv6, place.ipv6))

function pick(range: NetworkRange, taken: readonly Prefix[], random: () => number): Prefix | undefined {
  const free = firstFree(range, taken, CANDIDATES)
  const index = free[Math.floor(random() * free.length)]
  return index === undefined ? undefined : subnetAt(range, index)
}

/** The indices of the first free subnets of the range, at most `limit`: one sweep over the taken ones in order. */
function firstFree(range: NetworkRange, taken: readonly Prefix[], limit: number): bigint[] {
  const count = subnetCount(range)
  const free: bigint[] = []
  let next = 0n
  for (const [first, last] of takenIndices(range, taken)) {
    while (next < first && free.length < limit) free.push(next++)
    if (last >= next) next = last + 1n
    if (free.length === limit) return free
  }
  while (next < count && free.length < limit) free.push(next++)
  return free
}

/** What the taken prefixes cover of the range, as first and last index, in order of the first. */
function takenIndices(range: NetworkRange, taken: readonly Prefix[]): [bigint, bigint][] {
  const family = familyOfPrefix(range.network)
  const step = BigInt(bitsOf(family) - range.subnetLength)
  const min = ipToValue(range.min)
  const end = ipToValue(range.max) + (1n << step) - 1n
  const intervals: [bigint, bigint][] = []
  for (const prefix of taken) {
    if (familyOfPrefix(prefix) !== family) continue
    const from = ipToValue(baseOf(prefix))
    const to = from + sizeOf(prefix) - 1n
    if (to < min || from > end) continue
    intervals.push([from < min ? 0n : (from - min) >> step, ((to > end ? end : to) - min) >> step])
  }
  return intervals.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0))
}
