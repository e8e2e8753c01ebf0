// A lock between processes: flock(2) on a file, held until disposed or until the process ends, however that ends.
import { close, flockExclusive, O, open } from './libc.ts'

/** Makes the file if it isn't there. Blocks the thread while another process holds it: for short commands only. */
export function lockFile(path: string, mode = 0o644): Disposable {
  const fd = open(path, O.readWrite | O.create, mode)
  try {
    flockExclusive(fd, path)
  } catch (error) {
    close(fd)
    throw error
  }
  let held = true
  return {
    [Symbol.dispose]() {
      if (held) close(fd)
      held = false
    },
  }
}
