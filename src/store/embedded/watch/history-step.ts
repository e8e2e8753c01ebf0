// How a watcher that is behind catches up: by pieces of history that are neither long to read nor large to send.
import type { KeyRange } from '../keys/key-range.ts'
import type { KeyVersion, Revisions } from '../keys/revisions.ts'

/** What one step of catching up reads at most: whole revisions, by either measure. */
const STEP_REVISIONS = 1000n
const STEP_BYTES = 1024 * 1024
/** Changes of the range from `nextRevision` on, and where the next step begins. */
export function readStep(
  revisions: Revisions,
  { range, nextRevision }: { readonly range: KeyRange; readonly nextRevision: bigint },
): { changes: KeyVersion[]; nextRevision: bigint } {
  const stepEnd = nextRevision + STEP_REVISIONS - 1n
  const lastRevision = stepEnd < revisions.revision ? stepEnd : revisions.revision
  const changes: KeyVersion[] = []
  let bytes = 0
  for (const change of revisions.changes(range, nextRevision, lastRevision)) {
    if (bytes > STEP_BYTES && change.mod_revision !== changes.at(-1)?.mod_revision) {
      return { changes, nextRevision: change.mod_revision }
    }
    changes.push(change)
    bytes += change.key.byteLength + change.value.byteLength
  }
  return { changes, nextRevision: lastRevision + 1n }
}
