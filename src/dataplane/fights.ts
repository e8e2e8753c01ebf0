// Notices when something else keeps changing an object that we keep repairing. Pure; time is passed in.

const WINDOW_MS = 60_000
/** Repairs of one object within the window that make a fight. */
export const MANY = 10

export class Fights {
  #sinceMs = -Infinity
  #repairs = new Map<string, number>()
  #told = new Set<string>()

  /** Counts a repair. True once a fight: when it has been MANY, and again only after a window with fewer. */
  isFresh(key: string, nowMs: number): boolean {
    if (nowMs - this.#sinceMs >= WINDOW_MS) {
      const isRecent = nowMs - this.#sinceMs < 2 * WINDOW_MS
      const goesOn = (told: string) => isRecent && (this.#repairs.get(told) ?? 0) >= MANY
      this.#told = new Set([...this.#told].filter(goesOn))
      this.#repairs = new Map()
      this.#sinceMs = nowMs
    }
    const repairs = (this.#repairs.get(key) ?? 0) + 1
    this.#repairs.set(key, repairs)
    if (repairs !== MANY || this.#told.has(key)) return false
    this.#told.add(key)
    return true
  }

  /** Objects that are being fought over. */
  underWay(nowMs: number): string[] {
    const ageMs = nowMs - this.#sinceMs
    if (ageMs >= 2 * WINDOW_MS) return []
    return [...this.#told].filter((key) => ageMs < WINDOW_MS || (this.#repairs.get(key) ?? 0) >= MANY)
  }
}
