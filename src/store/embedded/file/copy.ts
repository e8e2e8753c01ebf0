// Copies of a store's file, by SQLite's online backup: as it is at one moment, also while it is written to.
import { closeSync, fsyncSync, openSync } from 'node:fs'
import { backup, DatabaseSync } from 'node:sqlite'
import { checkContents, checkHeader } from './inspect.ts'

const OWNER_ONLY = 0o600
const COPY_ADVICE = 'the copy is of no use; look at the disk, and make another'

/** Makes the file `to`, for its owner alone. What the same connection writes meanwhile is in it as well. */
export async function copyDatabase(from: DatabaseSync, to: string): Promise<void> {
  closeSync(openSync(to, 'wx', OWNER_ONLY))
  await backup(from, to)
}

/** Makes the copy one file, with no log beside it, looks at all of it, and puts it on the disk. Throws ServeError. */
export function finishCopy(path: string): void {
  checkHeader(path)
  const connection = new DatabaseSync(path)
  connection.exec('PRAGMA journal_mode = DELETE')
  connection.close()
  checkContents(path, COPY_ADVICE)
  syncFile(path)
}

/** On the disk: what is in a file, or which files are in a directory. */
export function syncFile(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
