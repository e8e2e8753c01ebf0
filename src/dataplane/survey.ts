// Wishes against the kernel without a reconciler: for who only looks. Writes nothing, and needs no running flanneld.
import type { KernelObject, KindName } from '../model/kernel.ts'
import type { Namespace } from '../sys/namespace.ts'
import type { Ownership } from './kind.ts'
import { openLedgers } from './open.ts'
import type { Drift } from './report.ts'

/** As `Reconciler.want` takes it. */
export interface Wish {
  readonly source: string
  readonly objects: readonly KernelObject[]
  readonly since: bigint
}

interface Survey {
  readonly drift: readonly Drift[]
  readonly wanted: Readonly<Partial<Record<KindName, number>>>
}

/** A table of ten thousand is read in a fraction of a second. */
const LONGEST_MS = 10_000

/** By fresh dumps. Throws NetlinkError or SysError where the kernel can't be read. */
export async function survey(
  scope: Ownership,
  wishes: Iterable<Wish>,
  namespace?: Namespace,
): Promise<Survey> {
  const { ledgers, resources } = openLedgers(scope, namespace)
  using _ = resources
  for (const { source, objects, since } of wishes)
    for (const object of objects)
      ledgers.find(({ kind }) => kind.name === object.kind)?.claim({ name: source, since }, object)
  const drift: Drift[] = []
  for (const ledger of ledgers) drift.push(...(await ledger.drift(AbortSignal.timeout(LONGEST_MS))))
  return {
    drift,
    wanted: Object.fromEntries(ledgers.map((ledger) => [ledger.kind.name, ledger.report().wanted])),
  }
}
