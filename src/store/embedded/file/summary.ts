// What a store's file holds, in a few words for those who copy it.
import { statSync } from 'node:fs'
import { Reader } from './inspect.ts'

/** `12 keys at revision 34 (56 KiB)` */
export function summaryOf(path: string): string {
  using reader = new Reader(path)
  const row = reader.connection
    .prepare(
      `SELECT (SELECT count(*) FROM current) AS keys, (SELECT max(revision) FROM history) AS revision,
       (SELECT value FROM meta WHERE name = 'compact_revision') AS compacted`,
    )
    .get()
  const revision = Math.max(1, Number(row?.['revision'] ?? 1), Number(row?.['compacted'] ?? 1))
  const kibibytes = Math.ceil(statSync(path).size / 1024)
  return `${Number(row?.['keys'])} keys at revision ${revision} (${kibibytes} KiB)`
}
