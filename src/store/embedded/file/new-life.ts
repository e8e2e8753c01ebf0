// Makes a restored store one that nobody mistakes for the lost one: another cluster id, and revisions far beyond any
// that the lost one can have told. Clients of heddle then know that what is missing was lost and not deleted, and
// keep it for a while. Go clients, who only look at revisions, are told that theirs are compacted, and read all anew.
import { randomBytes } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { Query } from './sqlite.ts'

/** As etcd's own advice for a restore (etcdutl snapshot restore --bump-revision). */
const REVISION_LEAP = 1_000_000_000n

/** Changes the file in place, at once or not at all. */
export function beginNewLife(path: string): void {
  const connection = new DatabaseSync(path)
  try {
    connection.exec('BEGIN IMMEDIATE')
    const newest = new Query<{ revision: bigint }>(
      connection.prepare(
        `SELECT max(revision) AS revision FROM
           (SELECT max(revision) AS revision FROM history UNION SELECT 1 UNION
            SELECT value FROM meta WHERE name = 'compact_revision')`,
      ),
    )
    const revision = newest.first()?.revision ?? 1n
    const set = connection.prepare(
      'INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
    )
    set.run('compact_revision', revision + REVISION_LEAP)
    for (const name of ['cluster_id', 'member_id']) set.run(name, randomBytes(8).readBigInt64LE() || 1n)
    connection.exec('COMMIT')
  } finally {
    connection.close()
  }
}
