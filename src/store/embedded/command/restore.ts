// `heddle store restore FILE`: a new store from a backup, in a directory that has none.
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { syncFile } from '../file/copy.ts'
import { storeFile } from '../file/database.ts'
import { checkContents, checkHeader, describeOpenError } from '../file/inspect.ts'
import { beginNewLife } from '../file/new-life.ts'
import { summaryOf } from '../file/summary.ts'
import { ServeError } from '../serve-error.ts'

const OWNER_ONLY = 0o600
const BACKUP_ADVICE = 'nothing was restored; take another backup'

/** What was done, in a sentence. Throws ServeError. */
export function restore(file: string, dataDirectory: string): string {
  const from = resolve(file)
  const to = storeFile(dataDirectory)
  try {
    checkHeader(from, 'nothing was restored')
    checkContents(from, BACKUP_ADVICE)
  } catch (error) {
    throw describeOpenError(error, from)
  }
  refuseExisting(to, dataDirectory)
  const draft = join(dataDirectory, 'restore.part')
  try {
    mkdirSync(dataDirectory, { recursive: true, mode: 0o700 })
    rmSync(draft, { force: true })
    copyFileSync(from, draft)
    chmodSync(draft, OWNER_ONLY)
    // Root restores what a service of its own user will open.
    const { uid, gid } = statSync(dataDirectory)
    if (process.getuid?.() === 0) chownSync(draft, uid, gid)
    beginNewLife(draft)
    syncFile(draft)
    // Never in place of a file that came there meanwhile.
    linkSync(draft, to)
    rmSync(draft)
    syncFile(dataDirectory)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST')
      refuseExisting(to, dataDirectory)
    throw describeOpenError(error, draft)
  } finally {
    rmSync(draft, { force: true })
  }
  return `${to} holds ${summaryOf(to)}, as a new cluster: hosts put back what is newer by themselves. Start the store.`
}

function refuseExisting(path: string, dataDirectory: string): void {
  const found = [path, `${path}-wal`].find((name) => existsSync(name))
  if (found === undefined) return
  throw new ServeError(
    'file_exists',
    `${found} is there already, and stays: stop the store and move ${dataDirectory} away, or give another --data-dir`,
  )
}
