// A lock between processes: flock(2) on a file, held until disposed or until the process ends, however that ends.
import { close, flockAtOnce, flockExclusive, O, open } from './libc.ts'

/** Makes the file if it isn't there. Blocks the thread while another process holds it: for short commands only. */
export function lockFile(path: string, mode = 0o644): Disposable {
  return lockedBy(path, mode, (fd) => {
    flockExclusive(fd, path)
    return true
  })
}

/** The same without waiting: undefined where another holds it. */
export const tryLockFile = (path: string, mode = 0o644): Disposable | undefined =>
  lockedBy(path, mode, (fd) => flockAtOnce(fd, path))

function lockedBy(path: string, mode: number, lock: (fd: number) => true): Disposable
function lockedBy(path: string, mode: number, lock: (fd: number) => boolean): Disposable | undefined
function lockedBy(path: string, mode: number, lock: (fd: number) => boolean): Disposable | undefined {
  const fd = open(path, O.readWrite | O.create, mode)
  let held = false
  try {
    held = lock(fd)
  } finally {
    if (!held) close(fd)
  }
  if (!held) return undefined
  return {
    [Symbol.dispose]() {
      if (held) close(fd)
      held = false
    },
  }
}
