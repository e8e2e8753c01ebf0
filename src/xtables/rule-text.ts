// Rules as iptables-save prints them, so that what is wanted and what is there can be compared as text. Pure.
import type { NftMatch, NftRule, NftVerdict } from '../model/kernel.ts'

/**
 * A rule with a comment, behind `-A chain `. The order is that of iptables-save: addresses, then matches as they were
 * given, of which kube-proxy's mark comes before the comment (flannel-compat 9.6). A prefix of length 0 matches all and
 * is never printed.
 */
export function ruleText({ matches, verdict }: NftRule, comment: string): string {
  const addresses = (['saddr', 'daddr'] as const).flatMap((side) =>
    matches.flatMap((match) => (match.match === side ? addressText(match) : [])),
  )
  const marks = matches.flatMap((match) => (match.match === 'mark' ? [markText(match)] : []))
  return [...addresses, ...marks, commentText(comment), targetText(verdict)].join(' ')
}

/** The jump to a chain, behind `-A chain `. */
export const jumpText = (chain: string, comment: string): string => `${commentText(comment)} -j ${chain}`

const FLAG = { saddr: '-s', daddr: '-d' } as const

function addressText({ match, not, prefix }: Extract<NftMatch, { match: 'saddr' | 'daddr' }>): string[] {
  if (prefix.endsWith('/0')) {
    if (not) throw new RangeError(`iptables has no way to say "not ${prefix}"`)
    return []
  }
  return [`${not ? '! ' : ''}${FLAG[match]} ${prefix}`]
}

const hex = (value: number): string => `0x${value.toString(16)}`

const markText = ({ value, mask }: Extract<NftMatch, { match: 'mark' }>): string =>
  `-m mark --mark ${hex(value)}${mask === 0xffff_ffff ? '' : `/${hex(mask)}`}`

const commentText = (comment: string): string => `-m comment --comment ${quote(comment)}`

function targetText(verdict: NftVerdict): string {
  switch (verdict.verdict) {
    case 'accept':
      return '-j ACCEPT'
    case 'return':
      return '-j RETURN'
    default:
      return `-j MASQUERADE${verdict.fullyRandom ? ' --random-fully' : ''}`
  }
}

/** As xtables_save_string of libxtables/xtables.c: quoted unless all of it is letters, digits, `_` and `-`. */
export const quote = (text: string): string =>
  /^[\w-]+$/.test(text) ? text : `"${text.replaceAll(/["'\\]/g, String.raw`\$&`)}"`
