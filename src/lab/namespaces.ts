// The network namespaces of a lab, bound to names below its directory.
import { realpathSync } from 'node:fs'
import { isSysError } from '../sys/libc.ts'
import { Namespace } from '../sys/namespace.ts'
import type { LabDirectory } from './directory.ts'
import { LabError } from './error.ts'
import { boundNamespaces } from './mounts.ts'

export class LabNamespaces implements Disposable {
  readonly #directory: LabDirectory
  readonly #open = new Map<string, Namespace>()

  constructor(directory: LabDirectory) {
    this.#directory = directory
  }

  /** Makes those that are missing; returns their names. */
  make(names: readonly string[]): ReadonlySet<string> {
    const bound = this.#bound()
    const made = new Set<string>()
    for (const name of names) {
      const path = this.#directory.namespace(name)
      if (bound.has(path)) continue
      // A file without a namespace: an `up` ended between the two.
      Namespace.remove(path)
      this.#open.set(name, makeNamed(path))
      made.add(name)
    }
    return made
  }

  get(name: string): Namespace {
    const open = this.#open.get(name)
    if (open !== undefined) return open
    if (!this.has(name))
      throw new LabError(
        'not-up',
        `the lab has no network namespace ${name}; \`heddle lab up\` makes what is missing`,
      )
    const namespace = Namespace.open(this.#directory.namespace(name))
    this.#open.set(name, namespace)
    return namespace
  }

  has(name: string): boolean {
    return this.#open.has(name) || this.#bound().has(this.#directory.namespace(name))
  }

  /** Takes one away with all its links; the kernel ends it once its last process is gone. */
  remove(name: string): void {
    this.#open.get(name)?.[Symbol.dispose]()
    this.#open.delete(name)
    Namespace.remove(this.#directory.namespace(name))
  }

  #bound(): ReadonlySet<string> {
    const real = realpathSync(this.#directory.namespaces)
    return new Set(
      boundNamespaces(real).map(({ path }) => `${this.#directory.namespaces}${path.slice(real.length)}`),
    )
  }

  [Symbol.dispose](): void {
    for (const namespace of this.#open.values()) namespace[Symbol.dispose]()
    this.#open.clear()
  }
}

function makeNamed(path: string): Namespace {
  try {
    return Namespace.createNamed(path)
  } catch (error) {
    if (isSysError(error, 'EPERM', 'EACCES'))
      throw new LabError(
        'refused',
        `this machine does not let us make network namespaces (${error.message}); in a container, it must be a privileged one`,
        { cause: error },
      )
    throw error
  }
}
