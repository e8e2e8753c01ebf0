// A drift report as text: a line an object, in the words of ip(8).
import type { DriftingObject, DriftReport } from '../../status/drift/report.ts'
import { keyName, type Difference } from '../../status/drift/words.ts'
import type { Style } from '../style.ts'

/** Of each sort; --json has all. */
const MOST_SHOWN = 50
const WIDTH = 10

export function reportText(report: DriftReport, style: Style): string {
  const { objects, refused, doubtful, fights, repairs } = report
  return [
    ...report.unknown.map((text) => `${style.dim(word('not known'))}${text}`),
    ...report.troubles.map((text) => `${style.bad(word('trouble'))}${text}`),
    ...some(objects.map((object) => objectLine(object, style))),
    ...some(entries(refused).map(([key, why]) => `${style.bad(word('refused'))}lease ${key}: ${why}`)),
    ...some(entries(doubtful).map(([key, why]) => `${style.bad(word('doubtful'))}lease ${key}: ${why}`)),
    ...some(untoldFailures(report).map((text) => `${style.bad(word('failing'))}${text}`)),
    ...some(fights.map((fight) => fightLine(fight, style))),
    ...(repairs === undefined || repairs.total === 0
      ? []
      : [`${style.dim(word('repaired'))}${counted(repairs.kinds)} since flanneld's start`]),
    verdict(report, style),
    '',
  ].join('\n')
}

/** What fails and is missing, too, has its reason there. */
export function untoldFailures({ objects, failures }: DriftReport): string[] {
  const told = new Set(objects.map(({ kind, key }) => `${kind} ${key}`))
  return failures
    .filter(({ kind, key }) => !told.has(`${kind} ${key}`))
    .map(({ kind, key, reason }) => `${keyName(kind, key)}: ${reason}`)
}

export function objectLine(
  { what, name, object, differences, for: source, reason }: DriftingObject,
  style: Style,
): string {
  const paint = what === 'stray' ? style.dim : style.bad
  const shown = what === 'different' ? name : object
  const mark = what === 'stray' ? "bears no mark of heddle's and stays" : ''
  const details = [differences.map(differenceText).join('; '), mark, reason ?? '']
    .filter((text) => text !== '')
    .map((text) => `: ${text}`)
  return `${paint(word(what))}${shown}${source === undefined ? '' : style.dim(` (${source})`)}${details.join('')}`
}

export const fightLine = ({ kind, key }: DriftReport['fights'][number], style: Style): string =>
  `${style.bad(word('fight'))}${keyName(kind, key)}: something else keeps changing it, and it is put right each time`

function differenceText({ field, want, have }: Difference): string {
  if (!field.startsWith('chain ')) return `${field} is ${have}, should be ${want}`
  if (have === 'none') return `${field} is missing`
  return want === 'none' ? `${field} is not wanted` : `${field} has other rules`
}

const WHO = {
  daemon: 'as the running flanneld wants it',
  store: 'as flanneld would want it by the store',
} as const

function verdict({ differs, complete, by, kinds, objects }: DriftReport, style: Style): string {
  if (differs) {
    if (by === 'kernel') return style.bad('what is there does not fit together')
    const count = objects.filter(({ what }) => what !== 'stray').length
    return style.bad(`${count === 1 ? 'one object is' : `${count} objects are`} not ${WHO[by]}`)
  }
  if (by === 'kernel')
    return 'what is there fits together; whether it is all that should be there is not known'
  if (!complete) return 'what is known of is there; that is not all'
  const wanted = Object.fromEntries(entries(kinds).map(([kind, { wanted: count }]) => [kind, count]))
  return style.good(`nothing differs: ${counted(wanted) || 'nothing'} ${WHO[by]}`)
}

/** `3 routes, one link`; kinds of which there is none are left out. */
export const counted = (kinds: Readonly<Record<string, number>>): string =>
  entries(kinds)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count} ${count === 1 ? singular(kind) : plural(kind)}`)
    .join(', ')
const singular = (kind: string): string => (kind === 'fdb' ? 'FDB entry' : kind)
const plural = (kind: string): string =>
  kind === 'fdb' ? 'FDB entries' : kind === 'address' ? 'addresses' : `${kind}s`

export const word = (text: string): string => `${text.padEnd(WIDTH)} `
const entries = <T>(record: Readonly<Record<string, T>>): [string, T][] => Object.entries(record)
const some = (lines: readonly string[]): string[] =>
  lines.length <= MOST_SHOWN
    ? [...lines]
    : [...lines.slice(0, MOST_SHOWN), `${word('')}… and ${lines.length - MOST_SHOWN} more: --json has all`]
