// What each source wants at the moment, so that a new wish takes the place of its former one.
import type { KernelObject, KindName } from '../model/kernel.ts'
import type { Source } from './desired.ts'

/** The books of one kind, as far as wishes go. */
interface Books {
  /** Returns the object's key. */
  claim(source: Source, object: KernelObject): string
  release(source: string, object: KernelObject): void
  keyOf(object: KernelObject): string
}

export class Wishes {
  readonly #booksOf: (kind: KindName) => Books
  readonly #objects = new Map<string, readonly KernelObject[]>()

  constructor(booksOf: (kind: KindName) => Books) {
    this.#booksOf = booksOf
  }

  /** Names of the sources that want something. */
  sources(): IterableIterator<string> {
    return this.#objects.keys()
  }

  want(source: Source, objects: readonly KernelObject[]): void {
    const before = this.#objects.get(source.name)
    const keys = objects.map((object) => this.#booksOf(object.kind).claim(source, object))
    this.#objects.set(source.name, objects)
    if (before === undefined) return
    for (const object of before) {
      const books = this.#booksOf(object.kind)
      const key = books.keyOf(object)
      // Of few objects: nobody wants more than some dozens.
      const isKept = keys.some((kept, index) => kept === key && objects[index]?.kind === object.kind)
      if (!isKept) books.release(source.name, object)
    }
  }

  forget(source: string): void {
    for (const object of this.#objects.get(source) ?? []) this.#booksOf(object.kind).release(source, object)
    this.#objects.delete(source)
  }
}
