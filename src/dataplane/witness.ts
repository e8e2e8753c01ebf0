// What a look at the kernel rested on, as cheap checks whether another look would show the same.

export class Witness {
  readonly #checks: (() => boolean)[] = []

  add(check: () => boolean): void {
    this.#checks.push(check)
  }

  /** Whether all is as it was. Never where nothing was checked: who can't tell has to look. Throws as a dump does. */
  holds(): boolean {
    return this.#checks.length > 0 && this.#checks.every((check) => check())
  }
}
