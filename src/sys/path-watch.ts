// Tells when a path may lead to another file, or its file has other content: renames over it, symbolic links swapped
// anywhere on the way (as Kubernetes does with `..data`), directories taken away and brought back. By inotify(7).
import { lstatSync, readlinkSync, type Stats } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import { allocate } from './arena.ts'
import { close, IN, inotifyAdd, inotifyInit, inotifyRemove, isSysError, readInto } from './libc.ts'
import { register } from './readiness.ts'

/** struct inotify_event: wd, mask, cookie, len; then a name of `len` bytes, filled up with NUL. */
const EVENT_BYTES = 16
/** Room for any event: a name has up to 255 bytes. */
const BUFFER_BYTES = 4096
/** As the kernel follows at most (path_resolution(7)). */
const MOST_LINKS = 40
/** Walks until nothing has changed on the way meanwhile. */
const MOST_WALKS = 10

/** What is asked of an inode: to hear of itself, and of names in it. */
const ITSELF = ''
const SELF_MASK = IN.deleteSelf | IN.moveSelf | IN.attrib | IN.closeWrite
const NAMES_MASK = IN.create | IN.delete | IN.movedFrom | IN.movedTo | IN.attrib | IN.closeWrite

/**
 * Yields once at once, then whenever one of `paths` may be another file or hold something else; changes that come
 * together are one. Ends with the signal, by throwing its reason. Throws SysError where the kernel takes no more watches.
 */
export async function* pathChanges(
  paths: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<void, never, undefined> {
  signal.throwIfAborted()
  let wake = Promise.withResolvers<void>()
  let failure: unknown
  const tell = () => wake.resolve()
  const fail = (error: unknown) => {
    failure = error
    tell()
  }
  using _ = new PathWatch(paths, tell, fail)
  signal.addEventListener('abort', tell, { once: true })
  try {
    for (;;) {
      yield
      await wake.promise
      wake = Promise.withResolvers()
      signal.throwIfAborted()
      if (failure !== undefined) throw failure
    }
  } finally {
    signal.removeEventListener('abort', tell)
  }
}

class PathWatch implements Disposable {
  readonly #paths: readonly string[]
  readonly #fd = inotifyInit()
  readonly #buffer = allocate(BUFFER_BYTES)
  readonly #registration: Disposable
  readonly #onChange: () => void
  readonly #onError: (error: unknown) => void
  /** By watch number: the names we care about. */
  #interest = new Map<number, Set<string>>()

  constructor(paths: readonly string[], onChange: () => void, onError: (error: unknown) => void) {
    this.#paths = paths.map((path) => (isAbsolute(path) ? path : `${process.cwd()}/${path}`))
    this.#onChange = onChange
    this.#onError = onError
    try {
      this.#walkAll()
      this.#registration = register(this.#fd, () => this.#drain())
    } catch (error) {
      this.#free()
      throw error
    }
  }

  [Symbol.dispose](): void {
    this.#registration[Symbol.dispose]()
    this.#free()
  }

  #free(): void {
    close(this.#fd)
    this.#buffer[Symbol.dispose]()
  }

  #drain(): void {
    try {
      if (!this.#read()) return
      this.#walkAll()
      this.#onChange()
    } catch (error) {
      this.#onError(error)
    }
  }

  /** Takes all events there are; whether one concerns us. */
  #read(): boolean {
    let concerns = false
    for (;;) {
      const bytes = readInto(this.#fd, this.#buffer.address, BUFFER_BYTES)
      if (bytes === undefined || bytes === 0) return concerns
      for (let at = 0; at < bytes;) {
        const watch = this.#buffer.view.getInt32(at, true)
        const mask = this.#buffer.view.getUint32(at + 4, true)
        const length = this.#buffer.view.getUint32(at + 12, true)
        const name = this.#buffer.bytes.subarray(at + EVENT_BYTES, at + EVENT_BYTES + length)
        at += EVENT_BYTES + length
        // Watch -1: events were dropped, the queue was full.
        concerns ||= watch === -1 || this.#interest.get(watch)?.has(textOf(name)) === true
        if ((mask & IN.ignored) !== 0) this.#interest.delete(watch)
      }
    }
  }

  /** Watches what is on the ways as they are now, and nothing else. */
  #walkAll(): void {
    for (let walk = 0; walk < MOST_WALKS; walk++) {
      const found = new Map<number, Set<string>>()
      for (const path of this.#paths) this.#walk(path, found)
      const isNew = [...found.keys()].some((watch) => !this.#interest.has(watch))
      for (const watch of this.#interest.keys()) if (!found.has(watch)) this.#drop(watch)
      this.#interest = found
      // A change before its watch was there has told nobody: only a walk that finds nothing new has seen all.
      if (!isNew) return
    }
  }

  #walk(path: string, found: Map<number, Set<string>>): void {
    const names = namesIn(path)
    /** Free of links. */
    let directory = '/'
    let links = 0
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      if (name === '..') {
        directory = dirname(directory)
        continue
      }
      const next = join(directory, name)
      const is = look(next)
      if (is?.isDirectory() === true) {
        this.#add(next, ITSELF, found)
        directory = next
        continue
      }
      this.#add(directory, name, found)
      if (is === undefined) return
      if (!is.isSymbolicLink()) return this.#add(next, ITSELF, found)
      const target = ++links > MOST_LINKS ? undefined : targetOf(next)
      if (target === undefined) return
      if (isAbsolute(target)) directory = '/'
      names.unshift(...namesIn(target))
    }
  }

  #add(path: string, name: string, found: Map<number, Set<string>>): void {
    const mask = name === ITSELF ? SELF_MASK : NAMES_MASK
    try {
      const watch = inotifyAdd(this.#fd, path, mask | IN.dontFollow | IN.maskAdd)
      const names = found.get(watch)
      if (names === undefined) found.set(watch, new Set([name]))
      else names.add(name)
    } catch (error) {
      // It went this moment, and whoever took it is watched; or it isn't ours to see.
      if (!isSysError(error, 'ENOENT', 'ENOTDIR', 'EACCES')) throw error
    }
  }

  #drop(watch: number): void {
    try {
      inotifyRemove(this.#fd, watch)
    } catch (error) {
      // The inode is gone already, and its watch with it.
      if (!isSysError(error, 'EINVAL')) throw error
    }
  }
}

const namesIn = (path: string): string[] => path.split('/').filter((name) => name !== '' && name !== '.')

const textOf = (bytes: Uint8Array): string => {
  const end = bytes.indexOf(0)
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString()
}

/** Undefined for what isn't there, or can't be seen. */
function look(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link)
  } catch {
    return undefined
  }
}
