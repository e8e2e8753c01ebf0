// Matches and targets of iptables' own, as they are found in rules that iptables-nft wrote: the common ones, read from
// their binary form (linux/netfilter/xt_*.h). Any other may match or not. Pure.
import type { Verdict } from '../../netlink/nftables/foreign/expression.ts'
import { both, equals, not, within, type Answer, type Partial } from './partial.ts'

interface Extension {
  readonly name: string
  readonly revision: number
  readonly info: Uint8Array
}

/** What matches ask of a packet. */
export interface Seen {
  readonly transport: Partial
  readonly mark: Partial
}

/** Of xt_conntrack_mtinfo1 to 3: where match_flags is, and XT_CONNTRACK_STATE_BIT(IP_CT_NEW). */
const CONNTRACK = { at: 146, state: 1, alias: 1 << 13, new: 1 << 3 } as const

export function judge({ name, revision, info }: Extension, seen: Seen): Answer {
  switch (name) {
    case 'comment':
      return 'yes'
    case 'conntrack':
      return connectionState(revision, info)
    case 'state':
      return info.length < 4 ? 'maybe' : (info[0] ?? 0) & CONNTRACK.new ? 'yes' : 'no'
    case 'mark':
      return revision === 1 ? mark(info, seen.mark) : 'maybe'
    case 'tcp':
      return info.length < 12 ? 'maybe' : both(ports(info, info[11] ?? 0, seen), tcpFlags(info, seen))
    case 'udp':
      return info.length < 9 ? 'maybe' : ports(info, info[8] ?? 0, seen)
    default:
      return 'maybe'
  }
}

/** xt_conntrack_mtinfo1 to 3: of a first packet, where nothing but the state is asked for. */
function connectionState(revision: number, info: Uint8Array): Answer {
  const { at } = CONNTRACK
  if (revision < 1 || revision > 3 || info.length < at + 6) return 'maybe'
  const view = new DataView(info.buffer, info.byteOffset, info.length)
  const matchFlags = view.getUint16(at, true) & ~CONNTRACK.alias
  const invertFlags = view.getUint16(at + 2, true)
  const states = revision === 1 ? view.getUint8(at + 4) : view.getUint16(at + 4, true)
  if ((matchFlags & CONNTRACK.state) === 0) return 'maybe'
  const has: Answer = (states & CONNTRACK.new) !== 0 ? 'yes' : 'no'
  const state = (invertFlags & CONNTRACK.state) === 0 ? has : not(has)
  return matchFlags === CONNTRACK.state ? state : both(state, 'maybe')
}

/** xt_mark_mtinfo1: mark, mask, invert; in the machine's order. */
function mark(info: Uint8Array, value: Partial): Answer {
  if (info.length < 9) return 'maybe'
  const mask = info.subarray(4, 8)
  const masked = {
    bytes: value.bytes.map((byte, i) => byte & (mask[i] ?? 0)),
    known: value.known.map((byte, i) => byte | (~(mask[i] ?? 0) & 0xff)),
  }
  const answer = equals(masked, info.subarray(0, 4))
  return info[8] === 0 ? answer : not(answer)
}

/** xt_tcp and xt_udp begin alike: source ports, destination ports, both ends in the machine's order. */
function ports(info: Uint8Array, inverted: number, seen: Seen): Answer {
  const side = (from: number, flag: number, packetAt: number): Answer => {
    const view = new DataView(info.buffer, info.byteOffset, info.length)
    const [low, high] = [view.getUint16(from, true), view.getUint16(from + 2, true)]
    const part = {
      bytes: seen.transport.bytes.subarray(packetAt, packetAt + 2),
      known: seen.transport.known.subarray(packetAt, packetAt + 2),
    }
    const answer = within(part, be16(low), be16(high))
    return (inverted & flag) === 0 ? answer : not(answer)
  }
  return both(side(0, 0x01, 0), side(4, 0x02, 2))
}

/** xt_tcp: an option, a mask of flags and what they are compared with. */
function tcpFlags(info: Uint8Array, { transport }: Seen): Answer {
  const [option, mask, compare] = [info[8] ?? 0, info[9] ?? 0, info[10] ?? 0]
  if (option !== 0) return 'maybe'
  const flags = { bytes: transport.bytes.subarray(13, 14), known: transport.known.subarray(13, 14) }
  const answer = equals(
    {
      bytes: Uint8Array.of((flags.bytes[0] ?? 0) & mask),
      known: Uint8Array.of((flags.known[0] ?? 0) | (~mask & 0xff)),
    },
    Uint8Array.of(compare),
  )
  return ((info[11] ?? 0) & 0x04) === 0 ? answer : not(answer)
}

const be16 = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value & 0xff)

const ACCEPTING: ReadonlySet<string> = new Set(['MASQUERADE', 'SNAT', 'DNAT', 'REDIRECT', 'NETMAP'])
const PASSING: ReadonlySet<string> = new Set(
  'LOG NFLOG CT NOTRACK CHECKSUM CLASSIFY CONNMARK CONNSECMARK DSCP TCPMSS TCPOPTSTRIP TEE TOS TRACE TTL HL SET'.split(
    ' ',
  ),
)

/** What a target does: 'MARK' leaves a mark nobody knows here. */
export function effectOf(name: string): Verdict['code'] | 'reject' | 'mark' | 'aside' | 'unknown' {
  if (name === 'REJECT') return 'reject'
  if (name === 'NFQUEUE') return 'queue'
  if (name === 'MARK') return 'mark'
  if (ACCEPTING.has(name)) return 'accept'
  return PASSING.has(name) ? 'aside' : 'unknown'
}
