// What one kind's objects have to tell people: wishes denied in favour of another source's, and fights over an object.
// Each is news once.
import type { Conflict } from './desired.ts'
import { Fights, MANY } from './fights.ts'

/** Something about an object that is worth a line in the log. */
export interface News {
  readonly key: string
  /** Who wants it; empty for what is to be removed. */
  readonly source: string
  readonly reason: string
}

const FIGHT = `something else keeps changing it, ${MANY} times within a minute, and it is put right each time: find and stop that; if it is another flanneld on this host, let only one of them keep it`

export class Told {
  readonly #conflicts = new Map<string, readonly Conflict[]>()
  readonly #fights = new Fights()
  #news: News[] = []

  /** All conflicts under a key as they are now. */
  conflicts(key: string, now: readonly Conflict[]): void {
    const before = this.#conflicts.get(key) ?? []
    if (now.length === 0) this.#conflicts.delete(key)
    else this.#conflicts.set(key, now)
    for (const conflict of now)
      if (!before.some(({ source }) => source === conflict.source)) this.#news.push(newsOf(conflict))
  }

  repaired(key: string, source: string): void {
    if (this.#fights.isFresh(key, performance.now())) this.#news.push({ key, source, reason: FIGHT })
  }

  /** Keys of objects that something else keeps changing. */
  fights(): string[] {
    return this.#fights.underWay(performance.now())
  }

  /** Wishes that are denied now. */
  denied(): readonly News[] {
    return [...this.#conflicts.values()].flat().map(newsOf)
  }

  /** What is new since the last call. */
  take(): readonly News[] {
    const news = this.#news
    this.#news = []
    return news
  }
}

const newsOf = ({ key, source, winner }: Conflict): News => ({
  key,
  source,
  reason: `${winner} has it already, with other content: two hosts must not share it`,
})
