// What isn't in the kernel as it should be, as plain data: the answer of /drift, and what `heddle drift --json` prints
// (docs/data-plane.md tells its fields). Pure.
import type { Drift, Failure, Fight, Repair, Report } from '../../dataplane/report.ts'
import type { KindName } from '../../model/kernel.ts'
import { differences, objectName, objectText, type Difference } from './words.ts'

export interface DriftReport {
  /** Who knows what should be there: the running flanneld, this program from the store, or nobody. */
  readonly by: 'daemon' | 'store' | 'kernel'
  /** False where what should be there isn't known, or not all of it: `unknown` says what. */
  readonly complete: boolean
  readonly unknown: readonly string[]
  /** What keeps flanneld from following the host and the store: what should be there is as it was before. Only it knows. */
  readonly troubles: readonly string[]
  /** Whether an object is missing, different or too many. */
  readonly differs: boolean
  readonly objects: readonly DriftingObject[]
  /** Counts by kind. */
  readonly kinds: Readonly<Record<string, KindCount>>
  /** Leases that are not programmed, wholly or in part, and why; by their key. */
  readonly refused: Readonly<Record<string, string>>
  /** Leases in use that share a public address with another. */
  readonly doubtful: Readonly<Record<string, string>>
  /** What the kernel refuses, and what two peers want differently. Only a running flanneld knows. */
  readonly failures: readonly FailureFact[]
  /** Objects that something else keeps changing. Only a running flanneld knows. */
  readonly fights: readonly FightFact[]
  /** Since flanneld's start; absent where none was asked. */
  readonly repairs?: {
    readonly total: number
    readonly kinds: Readonly<Record<string, number>>
    /** The latest of each kind, the last one at the end. */
    readonly last: readonly RepairFact[]
  }
}

export interface DriftingObject {
  readonly kind: KindName
  /** What a person would name: `flannel.1|10.5.3.0` is a neighbour on a device. */
  readonly key: string
  /** `extra`: ours and not wanted. `stray`: perhaps ours, without our mark; it stays, and is no difference. */
  readonly what: 'missing' | 'different' | 'extra' | 'stray'
  /** What a person would call it: `route 10.5.3.0/24`. */
  readonly name: string
  /** As it should be, else as it is, in the words of ip(8). */
  readonly object: string
  readonly differences: readonly Difference[]
  /** Who wants it: `lease 10.5.3.0-24`, `devices`, `firewall`. */
  readonly for?: string
  /** Why it isn't put right, where that is known. */
  readonly reason?: string
}

export interface KindCount {
  readonly wanted: number
  readonly missing: number
  readonly different: number
  readonly extra: number
}

interface FailureFact {
  readonly kind: string
  readonly key: string
  readonly for: string
  readonly reason: string
  readonly tries: number
  readonly nextTry?: string
}
interface FightFact {
  readonly kind: string
  readonly key: string
  readonly for: string
}
interface RepairFact {
  readonly kind: string
  readonly key: string
  readonly number: number
  readonly at: string
}

export type Wanted = Readonly<Partial<Record<KindName, number>>>

export function driftingObjects(
  drift: readonly Drift[],
  failures: ReadonlyMap<string, Failure> = new Map(),
): DriftingObject[] {
  return drift.map(({ kind, key, what, want, have, source }) => {
    const shown = want ?? have
    const reason = failures.get(`${kind} ${key}`)?.reason
    return {
      kind,
      key,
      what: what === 'unwanted' ? 'extra' : what,
      name: shown === undefined ? `${kind} ${key}` : objectName(shown),
      object: shown === undefined ? `${kind} ${key}` : objectText(shown),
      differences: want === undefined || have === undefined ? [] : differences(want, have),
      ...(source === undefined ? {} : { for: source }),
      ...(reason === undefined ? {} : { reason }),
    }
  })
}

export const differs = (objects: readonly DriftingObject[]): boolean =>
  objects.some(({ what }) => what !== 'stray')

export function kindCounts(wanted: Wanted, objects: readonly DriftingObject[]): Record<string, KindCount> {
  const kinds = new Set([...Object.keys(wanted), ...objects.map(({ kind }) => kind)])
  const counted = (kind: string, what: DriftingObject['what']) =>
    objects.filter((object) => object.kind === kind && object.what === what).length
  return Object.fromEntries(
    [...kinds].map((kind) => [
      kind,
      {
        wanted: wanted[kind as KindName] ?? 0,
        missing: counted(kind, 'missing'),
        different: counted(kind, 'different'),
        extra: counted(kind, 'extra'),
      },
    ]),
  )
}

export const failureFacts = (failures: ReadonlyMap<string, Failure>): FailureFact[] =>
  [...failures.values()].map(({ kind, key, source, reason, tries, nextTry }) => ({
    kind,
    key,
    for: source,
    reason,
    tries,
    ...(nextTry === undefined ? {} : { nextTry: nextTry.toISOString() }),
  }))

export const fightFacts = (fights: readonly Fight[]): FightFact[] =>
  fights.map(({ kind, key, source }) => ({ kind, key, for: source }))

export const repairFacts = (
  report: Report,
  repairs: readonly Repair[],
): NonNullable<DriftReport['repairs']> => ({
  total: report.repairs,
  kinds: Object.fromEntries(Object.entries(report.kinds).map(([kind, { repairs: count }]) => [kind, count])),
  last: repairs.map(({ kind, key, number, at }) => ({ kind, key, number, at: at.toISOString() })),
})
