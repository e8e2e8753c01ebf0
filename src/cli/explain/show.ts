// An explanation as text: a line a hop, and in the end the first thing that is missing.
import type { Style } from '../style.ts'
import { isBroken, type Hop } from './hop.ts'
import type { Wants } from './wants.ts'

export interface Explanation {
  readonly to: string
  readonly from: string | null
  /** Whether nothing is missing, and nothing that counts is unknown. */
  readonly complete: boolean
  readonly hops: readonly Hop[]
  /** The first hop that is missing or wrong. */
  readonly missing: Hop | null
  /** What a running flanneld knows of the host behind the address. */
  readonly heddle: Wants | null
  readonly unknown: readonly string[]
}

const WIDTH = 10
const SIGNS: Readonly<Record<Hop['state'], string>> = {
  there: '✓',
  open: '?',
  missing: '✗',
  wrong: '✗',
  unknown: '?',
}
const NOUNS: Readonly<Partial<Record<Hop['kind'], string>>> = { neighbour: 'neigh', masquerade: 'masq' }

export function explanationText(explanation: Explanation, style: Style): string {
  const { to, from, hops, missing, heddle, unknown } = explanation
  return [
    style.bold(`${to}${from === null ? '' : ` from ${from}`}`),
    ...hops.map((hop, index) => hopLine(hop, hops[index - 1], style)),
    ...(heddle === null ? [] : wantLines(heddle, style)),
    ...unknown.map((text) => `  ${style.dim(`not known  ${text}`)}`),
    missing === null ? wholeness(explanation, style) : verdict(missing, style),
    '',
  ].join('\n')
}

function hopLine(hop: Hop, before: Hop | undefined, style: Style): string {
  const { kind, state, object, note, layer } = hop
  const paint = isBroken(hop) ? style.bad : state === 'open' || state === 'unknown' ? style.dim : style.good
  const head = layer === 'outer' && before?.layer !== 'outer' ? `  ${style.dim('in a VXLAN packet:')}\n` : ''
  const shown = isBroken(hop) ? `${object} ${style.bad(state)}` : object
  return `${head}${layer === 'outer' ? '    ' : '  '}${paint(SIGNS[state])} ${(NOUNS[kind] ?? kind).padEnd(
    WIDTH,
  )} ${shown}${note === undefined || isBroken(hop) ? '' : style.dim(` (${note})`)}`
}

function wholeness({ hops }: Explanation, style: Style): string {
  const doubt = hops.find(({ state }) => state === 'unknown')
  if (doubt === undefined) return style.good('nothing is missing')
  return `nothing is missing as far as is known, but not all is: ${doubt.kind} ${doubt.object}: ${doubt.note ?? ''}`
}

function verdict({ kind, state, object, note, advice }: Hop, style: Style): string {
  const what = state === 'missing' ? `missing: ${kind} ${object}` : `${kind} ${object}`
  const why = note === undefined ? what : `${what}: ${note}`
  return [
    // A link's own words are many, and the note names it.
    style.bad(kind === 'link' && state === 'wrong' ? (note ?? what) : why),
    ...(advice === undefined ? [] : [`  → ${advice}`]),
  ].join('\n')
}

function wantLines({ lease, isOwn, publicIp, refused, lacking }: Wants, style: Style): string[] {
  const line = (text: string) => `  ${style.dim('flanneld')}   ${text}`
  // Of an address of the network it is the first thing that is missing, of others it says nothing.
  if (lease === undefined) return []
  if (isOwn) return [line(`lease ${lease}, this host's own`)]
  return [
    line(`lease ${lease}${publicIp === undefined ? '' : ` of ${publicIp}`}`),
    ...(refused === undefined ? [] : [line(`${style.bad('refused')}: ${refused}`)]),
    ...lacking.map((text) => line(style.bad(text))),
  ]
}
