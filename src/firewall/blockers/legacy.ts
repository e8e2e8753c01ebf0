// Rules of iptables-legacy in the terms of nf_tables: what a packet meets there is judged by the same walk
// (struct ipt_ip and ip6t_ip6, linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h).
import type { Family } from '../../model/ip.ts'
import { FAMILIES } from '../../model/ip.ts'
import type { Expression, ExpressionList } from '../../netlink/nftables/foreign/expression.ts'
import type { ForeignRule, Hook } from '../../netlink/nftables/foreign/ruleset.ts'
import type { LegacyRule, LegacyTarget } from '../../xtables/entries.ts'
import type { LegacyTables } from '../../xtables/legacy.ts'
import type { Base, Table } from './walk.ts'

interface LegacyRuleset {
  readonly baseChains: readonly Base[]
  rules(table: Table, chain: string): readonly ForeignRule[]
}

/** NF_IP_PRI_* of the tables that can drop: iptables takes no DROP in `nat`. */
const PRIORITIES: Readonly<Record<string, number>> = { raw: -300, mangle: -150, filter: 0, security: 50 }
const BUILTIN: Readonly<Record<string, Hook>> = {
  PREROUTING: 'prerouting',
  INPUT: 'input',
  FORWARD: 'forward',
  OUTPUT: 'output',
  POSTROUTING: 'postrouting',
}
const DROP = -1
const VERDICTS: Readonly<Record<number, 'drop' | 'accept' | 'queue' | 'return'>> = {
  [DROP]: 'drop',
  [-2]: 'accept',
  [-4]: 'queue',
  [-5]: 'return',
}

/** Only of tables that are there: to ask for another would make it. */
export function readLegacy(tables: LegacyTables): LegacyRuleset {
  const kept = new Map<string, ReadonlyMap<string, readonly LegacyRule[]>>()
  const baseChains: Base[] = []
  for (const family of FAMILIES)
    for (const [name, priority] of Object.entries(PRIORITIES)) {
      const entries = tables.read(family, name)?.kept()
      if (entries === undefined) continue
      const table: Table = { family: family === 'ipv4' ? 'ip' : 'ip6', name, isLegacy: true }
      const chains = new Map(entries.chains().map((chain) => [chain, entries.rules(chain)]))
      kept.set(keyOf(table), chains)
      for (const [chain, rules] of chains) {
        const hook = BUILTIN[chain]
        const policy = rules.at(-1)
        if (hook === undefined || policy === undefined) continue
        const { packets, bytes } = policy
        baseChains.push({
          table,
          name: chain,
          type: 'filter',
          hook,
          priority,
          policy: policy.target === DROP ? 'drop' : 'accept',
          counter: { packets, bytes },
          devices: [],
        })
      }
    }
  return {
    baseChains,
    rules: (table, chain) =>
      (kept.get(keyOf(table))?.get(chain) ?? [])
        // The last is the policy, or what returns.
        .slice(0, -1)
        .map((rule, index) => ({
          handle: BigInt(index + 1),
          expressions: new LegacyExpressions(rule, table.family === 'ip' ? 'ipv4' : 'ipv6'),
        })),
  }
}

const keyOf = ({ family, name }: Table): string => `${family} ${name}`

/** struct ipt_ip and ip6t_ip6: where fields are, and where the packet has the same. */
const LAYOUTS = {
  ipv4: { address: 4, links: 16, proto: 80, flags: 82, inverse: 83, packet: { source: 12, destination: 16 } },
  ipv6: {
    address: 16,
    links: 64,
    proto: 128,
    flags: 131,
    inverse: 132,
    packet: { source: 8, destination: 24 },
  },
} as const
const INVERSE = {
  in: 0x01,
  out: 0x02,
  tos: 0x04,
  source: 0x08,
  destination: 0x10,
  fragment: 0x20,
  protocol: 0x40,
}
/** Of IPv4 IPT_F_FRAG, of IPv6 IP6T_F_TOS. */
const ASKS_MORE = { ipv4: 0x01, ipv6: 0x02 } as const
const NAME_BYTES = 16
const REGISTER = 1
const META = { iifname: 6, oifname: 7, l4proto: 16 } as const
const NETWORK_HEADER = 1
const EQUAL = 0
const UNEQUAL = 1

/** Matches of iptables' own and the target are read where the addresses fit: of ten thousand rules few do. */
class LegacyExpressions implements ExpressionList {
  readonly #rule: LegacyRule
  readonly #head: readonly Expression[]
  #all: readonly Expression[] | undefined

  constructor(rule: LegacyRule, family: Family) {
    this.#rule = rule
    this.#head = headOf(rule.ip, family)
  }

  at(index: number): Expression | undefined {
    if (index < this.#head.length) return this.#head[index]
    const { matches, target, packets, bytes } = this.#rule
    this.#all ??= [
      ...this.#head,
      ...matches.map((match): Expression => ({ op: 'match', ...match })),
      { op: 'counter', packets, bytes },
      ...targetOf(target),
    ]
    return this.#all[index]
  }
}

function headOf(ip: Uint8Array, family: Family): Expression[] {
  const { address, links, proto, flags, inverse, packet } = LAYOUTS[family]
  const inverted = ip[inverse] ?? 0
  const is = (bit: number) => ((inverted & bit) === 0 ? EQUAL : UNEQUAL)
  const part = (from: number, length: number) => ip.subarray(from, from + length)
  const payload = (offset: number): Expression => ({
    op: 'payload',
    base: NETWORK_HEADER,
    offset,
    length: address,
    to: REGISTER,
  })
  const meta = (key: number): Expression => ({ op: 'meta', key, to: REGISTER })
  const protocol = (ip[proto] ?? 0) | ((ip[proto + 1] ?? 0) << 8)
  const asksMore = ((ip[flags] ?? 0) & ASKS_MORE[family]) !== 0
  return [
    ...compared(payload(packet.source), part(0, address), part(2 * address, address), is(INVERSE.source)),
    ...compared(
      payload(packet.destination),
      part(address, address),
      part(3 * address, address),
      is(INVERSE.destination),
    ),
    ...compared(
      meta(META.iifname),
      part(links, NAME_BYTES),
      part(links + 2 * NAME_BYTES, NAME_BYTES),
      is(INVERSE.in),
    ),
    ...compared(
      meta(META.oifname),
      part(links + NAME_BYTES, NAME_BYTES),
      part(links + 3 * NAME_BYTES, NAME_BYTES),
      is(INVERSE.out),
    ),
    ...(protocol === 0
      ? []
      : compared(meta(META.l4proto), Uint8Array.of(protocol), Uint8Array.of(0xff), is(INVERSE.protocol))),
    ...(asksMore ? [{ op: 'unknown', name: 'fragment' } as const] : []),
  ]
}

/** None where all is masked away. */
function compared(load: Expression, value: Uint8Array, mask: Uint8Array, how: number): Expression[] {
  const used = mask.findLastIndex((byte) => byte !== 0) + 1
  if (used === 0) return []
  const [cut, cutMask] = [value.slice(0, used), mask.slice(0, used)]
  const isWhole = cutMask.every((byte) => byte === 0xff)
  return [
    load,
    ...(isWhole
      ? []
      : [
          {
            op: 'bitwise',
            from: REGISTER,
            to: REGISTER,
            mask: cutMask,
            xor: new Uint8Array(used),
          } as const,
        ]),
    { op: 'compare', from: REGISTER, how, value: cut.map((byte, i) => byte & (cutMask[i] ?? 0)) },
  ]
}

function targetOf(target: LegacyTarget): Expression[] {
  if (typeof target === 'number') {
    const code = VERDICTS[target]
    return code === undefined ? [] : [{ op: 'verdict', verdict: { code } }]
  }
  if ('chain' in target)
    return [{ op: 'verdict', verdict: { code: target.isGoto ? 'goto' : 'jump', chain: target.chain } }]
  return [{ op: 'target', ...target }]
}
