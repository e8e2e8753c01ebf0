// One thing that an uninstall removes.

export interface Item {
  /** With what it is, for people: `device flannel.1`. */
  readonly what: string
  /** Why it is still there; undefined once it is gone. */
  remove(): Promise<string | undefined>
}

export interface Part {
  readonly items: readonly Item[]
  /** What may be flannel's but can't be proved to be, or is still of use: each with a hint. */
  readonly left: readonly string[]
}

/** Failing is an answer, not an exception. */
export const item = (what: string, remove: () => void | Promise<string | undefined | void>): Item => ({
  what,
  async remove() {
    try {
      return (await remove()) ?? undefined
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  },
})
