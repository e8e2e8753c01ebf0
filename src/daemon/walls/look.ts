// One look at what drops packets of pods on this host: each way they go, with whoever stands in it, as plain JSON.
import {
  countText,
  ownerOf,
  remedies,
  showCommand,
  whereText,
  type Owner,
  type Passage,
} from '../../firewall/blockers/advice.ts'
import { readRuleset } from '../../firewall/blockers/reader.ts'
import { follow, type Blocker, type Ruleset } from '../../firewall/blockers/walk.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { LegacyTables } from '../../xtables/legacy.ts'
import type { Traffic } from './sites.ts'

/** Of /status. */
export interface Wall {
  readonly family: 'ipv4' | 'ipv6'
  readonly way: string
  readonly certainty: 'drops' | 'may drop'
  readonly how: Blocker['how']
  readonly where: string
  /** Undefined where nobody counts. */
  readonly packets: number | undefined
  readonly owner: Owner | undefined
  /** To see it, and to let pods through. */
  readonly see: string
  readonly remedies: readonly string[]
}

export interface Look {
  readonly walls: readonly Wall[]
  /** Why some of it isn't known. */
  readonly unfinished: readonly string[]
  readonly hasFirewalld: boolean
}

/** In steps, of which each takes its time where there are thousands of rules. Throws what a socket does that can't be read. */
export function* lookForWalls(
  netfilter: NetlinkSocket,
  legacy: LegacyTables,
  { packets, passage }: Traffic,
): Generator<void, Look, undefined> {
  const ruleset = readRuleset(netfilter, legacy)
  const unfinished = new Set<string>()
  const walls: Wall[] = []
  for (const packet of packets) {
    yield
    const verdict = follow(packet, ruleset)
    if (verdict.unfinished !== undefined) unfinished.add(`${packet.way}: ${verdict.unfinished}`)
    walls.push(...verdict.blockers.map((blocker) => wallOf(packet, blocker, passage, ruleset)))
  }
  return { walls, unfinished: [...unfinished], hasFirewalld: hasFirewalld(ruleset) }
}

function wallOf(
  { family, way }: { family: Wall['family']; way: string },
  blocker: Blocker,
  passage: Passage,
  ruleset: Ruleset,
): Wall {
  const owner = ownerOf(blocker, ruleset)
  return {
    family,
    way,
    certainty: blocker.certainty,
    how: blocker.how,
    where: `${whereText(blocker)} (${countText(blocker)})`,
    packets: blocker.counter && Number(blocker.counter.packets),
    owner,
    see: showCommand(blocker),
    remedies: remedies(blocker, owner, passage),
  }
}

/** Its own table, where it works by nf_tables, as it does by default since 0.6. */
const hasFirewalld = ({ baseChains }: Ruleset): boolean =>
  baseChains.some(({ table: { family, name } }) => family === 'inet' && name === 'firewalld')

/** Without its count, which moves. */
export const nameOf = ({ family, way, where }: Wall): string =>
  `${family} ${way}: ${where.replace(/ \([^()]*\)$/, '').replace(/ counter packets \d+ bytes \d+/, ' counter')}`
