// A foreign rule in words close to nft's, for people: what it matches as far as that is known, and what it does. Pure.
import { allOf, type ExpressionList } from '../../netlink/nftables/foreign/expression.ts'
import type { ForeignRule } from '../../netlink/nftables/foreign/ruleset.ts'
import { ipFromBytes } from '../../model/ip.ts'

const META: Readonly<Record<number, string>> = {
  1: 'meta protocol',
  3: 'meta mark',
  4: 'iif',
  5: 'oif',
  6: 'iifname',
  7: 'oifname',
  15: 'meta nfproto',
  16: 'meta l4proto',
  19: 'meta pkttype',
}
const CT: Readonly<Record<number, string>> = {
  0: 'ct state',
  1: 'ct direction',
  2: 'ct status',
  3: 'ct mark',
}
const COMPARISONS = ['', '!= ', '< ', '<= ', '> ', '>= ']
const STATES = ['invalid', 'established', 'related', 'new', 'untracked']
const PROTOCOLS: Readonly<Record<number, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'ipv6-icmp' }

/** What a register holds, and how to write its values. */
interface Field {
  readonly text: string
  readonly show: (value: Uint8Array) => string
}

export function textOfRule({ expressions, comment }: ForeignRule): string {
  const words: string[] = []
  let field: Field = { text: '?', show: hex }
  for (const e of allOf(expressions)) {
    switch (e.op) {
      case 'meta':
      case 'ct':
        field = { text: (e.op === 'meta' ? META : CT)[e.key] ?? `${e.op} key ${e.key}`, show: shown(e) }
        break
      case 'payload':
        field = payloadField(e)
        break
      case 'load':
        field = { text: e.name, show: hex }
        break
      case 'bitwise':
        field = maskedField(field, e.mask)
        break
      case 'compare':
        words.push(comparison(field, e.how, e.value))
        break
      case 'range':
        words.push(`${field.text} ${e.not ? '!= ' : ''}${field.show(e.low)}-${field.show(e.high)}`)
        break
      case 'lookup':
        words.push(
          `${field.text} ${e.not ? '!= ' : ''}${e.to === undefined ? '' : e.to === 0 ? 'vmap ' : 'map '}@${e.set}`,
        )
        break
      case 'counter':
        words.push(`counter packets ${e.packets} bytes ${e.bytes}`)
        break
      case 'verdict':
        words.push('chain' in e.verdict ? `${e.verdict.code} ${e.verdict.chain}` : e.verdict.code)
        break
      case 'match':
      case 'target':
        if (e.name !== 'comment') words.push(`xt ${e.op} "${e.name}"`)
        break
      case 'reject':
        words.push('reject')
        break
      case 'nat':
      case 'aside':
      case 'unknown':
        words.push(e.name)
        break
      case 'meta-set':
        words.push(`${META[e.key] ?? `meta key ${e.key}`} set`)
        break
      case 'immediate':
      case 'byteorder':
        break
      default:
        e satisfies never
    }
  }
  const told = comment ?? commentOf(expressions)
  return [...words, ...(told === undefined ? [] : [`comment ${JSON.stringify(told)}`])].join(' ')
}

/** iptables' own, struct xt_comment_info. */
function commentOf(expressions: ExpressionList): string | undefined {
  for (const e of allOf(expressions)) {
    if (e.op !== 'match' || e.name !== 'comment') continue
    const end = e.info.indexOf(0)
    return new TextDecoder().decode(end < 0 ? e.info : e.info.subarray(0, end))
  }
  return undefined
}

function comparison({ text, show }: Field, how: number, value: Uint8Array): string {
  // Of flags and states: `ct state & (…) != 0` is written without its nought.
  const isFlags = text.endsWith('&') && value.every((byte) => byte === 0)
  if (isFlags) return how === 1 ? text.slice(0, -2) : `! ${text.slice(0, -2)}`
  return `${text} ${COMPARISONS[how] ?? '? '}${show(value)}`.replace('& ', '')
}

function maskedField({ text, show }: Field, mask: Uint8Array): Field {
  if (text === 'ct state' || text === 'ct status') return { text: `${text} ${show(mask)} &`, show: hex }
  const ones = mask.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0)
  if (/ [sd]addr$/.test(text)) return { text, show: (value) => `${show(value)}/${ones}` }
  return { text: `${text} and ${hex(mask)}`, show }
}

function shown({ op, key }: { op: 'meta' | 'ct'; key: number }): Field['show'] {
  if (op === 'ct')
    return key === 0
      ? (value) => STATES.filter((_, bit) => ((value[0] ?? 0) & (1 << bit)) !== 0).join(',') || hex(value)
      : hex
  if (key === 6 || key === 7) return nameText
  if (key === 16) return (value) => PROTOCOLS[value[0] ?? 0] ?? `${value[0]}`
  if (key === 15) return (value) => (value[0] === 2 ? 'ipv4' : value[0] === 10 ? 'ipv6' : `${value[0]}`)
  return hex
}

/** A name without its closing NUL is the beginning of names. */
function nameText(value: Uint8Array): string {
  const end = value.indexOf(0)
  const text = new TextDecoder().decode(end < 0 ? value : value.subarray(0, end))
  return `"${text}${end < 0 && value.length < 16 ? '*' : ''}"`
}

function payloadField({ base, offset, length }: { base: number; offset: number; length: number }): Field {
  if (base === 1) {
    if (offset === 12 && length <= 4) return { text: 'ip saddr', show: address(4, length) }
    if (offset === 16 && length <= 4) return { text: 'ip daddr', show: address(4, length) }
    if (offset === 8 && length > 4) return { text: 'ip6 saddr', show: address(16, length) }
    if (offset === 24) return { text: 'ip6 daddr', show: address(16, length) }
  }
  if (base === 2 && length === 2 && (offset === 0 || offset === 2))
    return {
      text: offset === 0 ? 'th sport' : 'th dport',
      show: (value) => `${((value[0] ?? 0) << 8) | (value[1] ?? 0)}`,
    }
  return { text: `@${['ll', 'nh', 'th', 'ih'][base] ?? base},${offset * 8},${length * 8}`, show: hex }
}

/** Of which only the first bytes may be compared. */
const address =
  (bytes: 4 | 16, length: number): Field['show'] =>
  (value) => {
    const all = new Uint8Array(bytes)
    all.set(value.subarray(0, bytes))
    return `${ipFromBytes(all)}${length < bytes ? `/${length * 8}` : ''}`
  }

const hex = (value: Uint8Array): string => `0x${value.toHex()}`
