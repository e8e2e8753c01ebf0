// Network namespaces: made, opened and entered. A socket stays in the namespace it was created in, so entering is
// brief and synchronous: setns, do it, setns back, all on this thread.
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import {
  close,
  CLONE_NEWNET,
  isSysError,
  MNT_DETACH,
  mount,
  MS,
  O,
  open,
  setns,
  umount2,
  unshare,
} from './libc.ts'

const OWN = '/proc/thread-self/ns/net'

export class Namespace implements Disposable {
  readonly #fd: number
  /** Where it is bound, if it has a name. */
  readonly #bound: string | undefined
  #open = true

  private constructor(fd: number, bound?: string) {
    this.#fd = fd
    this.#bound = bound
  }

  /** A new one, without a name: gone when disposed and no process, socket or device of it is left. Needs CAP_SYS_ADMIN. */
  static create(): Namespace {
    return new Namespace(makeNamespace())
  }

  /** A new one bound to `path`, where it outlives this process until `Namespace.remove(path)`; as `ip netns add` does. */
  static createNamed(path: string): Namespace {
    const fd = makeNamespace()
    try {
      mkdirSync(dirname(path), { recursive: true })
      closeSync(openSync(path, 'wx', 0o444))
      try {
        mount(`/proc/self/fd/${fd}`, path, 'none', MS.bind)
      } catch (error) {
        rmSync(path, { force: true })
        throw error
      }
    } catch (error) {
      close(fd)
      throw error
    }
    return new Namespace(fd, path)
  }

  static open(path: string): Namespace {
    return new Namespace(open(path, O.readOnly), path)
  }

  /** The namespace this thread is in. */
  static current(): Namespace {
    return new Namespace(open(OWN, O.readOnly))
  }

  /** Takes a name away; the namespace goes with its last user. Nothing happens if there is no such name. */
  static remove(path: string): void {
    try {
      umount2(path, MNT_DETACH)
    } catch (error) {
      if (!isSysError(error, 'EINVAL', 'ENOENT')) throw error
    }
    rmSync(path, { force: true })
  }

  /** Good for `nsenter --net=`, in this process and in its children, while this object is open. */
  get path(): string {
    return this.#bound ?? `/proc/${process.pid}/fd/${this.#fd}`
  }

  /** The open descriptor, for IFLA_NET_NS_FD. Throws after disposal. */
  get fd(): number {
    if (!this.#open) throw new Error(`the network namespace ${this.path} is closed already`)
    return this.#fd
  }

  /** Runs `fn` inside. It must be synchronous: a promise would go on in the wrong namespace, so one is refused. */
  run<T>(fn: () => T): T {
    const home = open(OWN, O.readOnly)
    try {
      setns(this.fd, CLONE_NEWNET)
      let result: T
      try {
        result = fn()
      } finally {
        goHome(home)
      }
      if (result instanceof Promise)
        throw new TypeError('Namespace.run takes a synchronous function: it is left before a promise settles')
      return result
    } finally {
      close(home)
    }
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    close(this.#fd)
  }
}

function makeNamespace(): number {
  const home = open(OWN, O.readOnly)
  try {
    // Refused where there would be no way back: to root of a user namespace that does not own this one.
    setns(home, CLONE_NEWNET)
    unshare(CLONE_NEWNET)
    try {
      return open(OWN, O.readOnly)
    } finally {
      goHome(home)
    }
  } finally {
    close(home)
  }
}

/** A thread left in a foreign namespace would write to the wrong kernel tables from here on: better no process. */
function goHome(fd: number): void {
  try {
    setns(fd, CLONE_NEWNET)
  } catch (error) {
    process.stderr.write(`heddle: can't return to the home network namespace, giving up: ${String(error)}\n`)
    process.abort()
  }
}
