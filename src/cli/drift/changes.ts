// What is another between two drift reports, as lines with their time: for --watch.
import type { DriftReport } from '../../status/drift/report.ts'
import { keyName } from '../../status/drift/words.ts'
import type { Style } from '../style.ts'
import { counted, fightLine, objectLine, untoldFailures, word } from './show.ts'

export function changesText(
  before: DriftReport,
  now: DriftReport,
  style: Style,
  at: Date = new Date(),
): string {
  const told = new Set(now.objects.map(({ kind, key }) => `${kind} ${key}`))
  // What was put right is there again, of course.
  const fresh = freshRepairs(before, now)
  const again = new Set(fresh.map(({ kind, key }) => `${kind} ${key}`))
  const gone = difference(before.objects, now.objects).filter(
    ({ kind, key }) => !again.has(`${kind} ${key}`) && !told.has(`${kind} ${key}`),
  )
  const lines = [
    ...repaired(before, now, fresh, style),
    ...difference(now.objects, before.objects).map((object) => objectLine(object, style)),
    ...gone.map(({ name }) => `${style.good(word('settled'))}${name}`),
    ...difference(now.troubles, before.troubles).map((text) => `${style.bad(word('trouble'))}${text}`),
    ...difference(before.troubles, now.troubles).map((text) => `${style.good(word('settled'))}${text}`),
    ...reasons('refused', before.refused, now.refused, style),
    ...reasons('doubtful', before.doubtful, now.doubtful, style),
    ...difference(untoldFailures(now), before.failures.map(failed)).map(
      (text) => `${style.bad(word('failing'))}${text}`,
    ),
    ...difference(now.fights, before.fights).map((fight) => fightLine(fight, style)),
    ...difference(now.unknown, before.unknown).map((text) => `${style.dim(word('not known'))}${text}`),
    ...wantedAnother(before, now, style),
  ]
  const time = at.toTimeString().slice(0, 8)
  return lines.map((line) => `${style.dim(time)} ${line}\n`).join('')
}

const failed = ({ kind, key, reason }: DriftReport['failures'][number]) => `${keyName(kind, key)}: ${reason}`

/** Those of `ones` that aren't among `others`. */
function difference<T>(ones: readonly T[], others: readonly T[]): T[] {
  const known = new Set(others.map((other) => JSON.stringify(other)))
  return ones.filter((one) => !known.has(JSON.stringify(one)))
}

type RepairFact = NonNullable<DriftReport['repairs']>['last'][number]

/** Those since that are remembered. */
function freshRepairs(before: DriftReport, now: DriftReport): RepairFact[] {
  const since = before.repairs?.kinds ?? {}
  return (now.repairs?.last ?? []).filter(({ kind, number }) => number > (since[kind] ?? 0))
}

/** Each repair by name; of more than are remembered how many. */
function repaired(
  before: DriftReport,
  now: DriftReport,
  fresh: readonly RepairFact[],
  style: Style,
): string[] {
  const since = before.repairs?.kinds ?? {}
  const unnamed = Object.fromEntries(
    Object.entries(now.repairs?.kinds ?? {}).map(([kind, total]) => {
      const named = fresh.filter((repair) => repair.kind === kind).length
      return [kind, total - (since[kind] ?? 0) - named]
    }),
  )
  const more = counted(unnamed)
  return [
    ...fresh.map(({ kind, key }) => `${style.good(word('repaired'))}${keyName(kind, key)}`),
    ...(more === '' ? [] : [`${style.good(word('repaired'))}${more} more`]),
  ]
}

function reasons(
  what: 'refused' | 'doubtful',
  before: Readonly<Record<string, string>>,
  now: Readonly<Record<string, string>>,
  style: Style,
): string[] {
  return [
    ...Object.entries(now)
      .filter(([key, why]) => before[key] !== why)
      .map(([key, why]) => `${style.bad(word(what))}lease ${key}: ${why}`),
    ...Object.keys(before)
      .filter((key) => now[key] === undefined)
      .map((key) => `${style.good(word('settled'))}lease ${key} is ${what} no more`),
  ]
}

function wantedAnother(before: DriftReport, now: DriftReport, style: Style): string[] {
  const kinds = new Set([...Object.keys(before.kinds), ...Object.keys(now.kinds)])
  const changed = [...kinds].flatMap((kind) => {
    const by = (now.kinds[kind]?.wanted ?? 0) - (before.kinds[kind]?.wanted ?? 0)
    return by === 0 ? [] : [`${by > 0 ? '+' : '−'}${Math.abs(by)} ${kind}`]
  })
  return changed.length === 0 ? [] : [`${style.dim(word('wanted'))}${changed.join(', ')}`]
}
