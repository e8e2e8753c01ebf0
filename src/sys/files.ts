// Files that are whole or not there: written beside the target, made durable, then renamed over it.
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/**
 * Replaces `path` (a symbolic link too) by a file of `text`, durable when this returns; makes missing directories.
 * A reader, and a crash at any moment, finds the old file or the new one. A device, FIFO, socket or directory is never
 * replaced. Throws Node's ErrnoException, or an Error that names what is in the way.
 */
export function writeFileAtomically(path: string, text: string | Uint8Array, mode = 0o644): void {
  const directory = dirname(path)
  mkdirSync(directory, { recursive: true })
  const there = lstatSync(path, { throwIfNoEntry: false })
  if (there !== undefined && !there.isFile() && !there.isSymbolicLink())
    throw new Error(`${path} is no regular file: it stays as it is; name another file`)
  const temporary = join(directory, `.${basename(path)}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`)
  try {
    const fd = openSync(temporary, 'wx', mode)
    try {
      fchmodSync(fd, mode)
      writeFileSync(fd, text)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  syncDirectory(directory)
}

function syncDirectory(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
