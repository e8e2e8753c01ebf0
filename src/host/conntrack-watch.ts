// Whether connection tracking loses connections, or soon will: what to tell of one reading after another. Pure; time is
// passed in.

export interface ConntrackReading {
  readonly entries: number
  readonly max: number
  /** Counted since the namespace was made; absent where the kernel doesn't tell. */
  readonly insertFailed?: number
  readonly drop?: number
  readonly earlyDrop?: number
}

export interface ConntrackNews {
  readonly level: 'info' | 'warning'
  readonly text: string
  /** What it is about. */
  readonly about: Trouble
}
type Trouble = 'full' | 'drop' | 'insert_failed'

/** From `FULL` on it is told, and from `RELIEVED` on it is over. */
const FULL = 0.8
const RELIEVED = 0.7
/** What goes on is told again after this long. */
const AGAIN_MS = 3_600_000

export class ConntrackWatch {
  #isFull = false
  /** By trouble: the count that was told, and when. */
  readonly #told = new Map<Trouble, { readonly count: number; readonly atMs: number }>()
  readonly #current = new Map<Trouble, string>()

  /** Sentences about what is wrong now, or has gone wrong within the last hour. */
  get troubles(): readonly string[] {
    return [...this.#current.values()]
  }

  take(reading: ConntrackReading, nowMs: number): readonly ConntrackNews[] {
    return [
      ...this.#fullness(reading),
      ...this.#growth(
        'drop',
        reading.drop,
        nowMs,
        (count) =>
          `connection tracking was full: ${packets(count)} dropped that would have opened a connection; room for more: --conntrack-max-per-core, or sysctl -w net.netfilter.nf_conntrack_max=${2 * reading.max}`,
      ),
      ...this.#growth(
        'insert_failed',
        reading.insertFailed,
        nowMs,
        (count) =>
          `${packets(count)} lost as two connections wanted the same place in connection tracking at once (insert_failed): often two DNS questions from one port. Masquerade with random ports (no --ip-masq-fully-random-disable), or have DNS asked by TCP, or by a cache on each host`,
      ),
    ]
  }

  #fullness({ entries, max }: ConntrackReading): ConntrackNews[] {
    const share = max === 0 ? 0 : entries / max
    const about = 'full'
    const was = this.#isFull
    this.#isFull = share >= (was ? RELIEVED : FULL)
    if (!this.#isFull) {
      this.#current.delete(about)
      return was
        ? [{ level: 'info', about, text: `connection tracking has room again: ${entries} of ${max}` }]
        : []
    }
    const text = `connection tracking has ${entries} of ${max} entries in use (${Math.round(100 * share)} %): once it is full, new connections are dropped. Room for more: --conntrack-max-per-core, or sysctl -w net.netfilter.nf_conntrack_max=${2 * max}`
    this.#current.set(about, text)
    return was ? [] : [{ level: 'warning', about, text }]
  }

  /** What was counted before the first reading is nobody's news. */
  #growth(
    about: Trouble,
    count: number | undefined,
    nowMs: number,
    sentence: (count: number) => string,
  ): ConntrackNews[] {
    if (count === undefined) return []
    const told = this.#told.get(about)
    // Another namespace, or counters that began anew.
    if (told === undefined || count < told.count) {
      this.#told.set(about, { count, atMs: -Infinity })
      return []
    }
    if (nowMs - told.atMs < AGAIN_MS) return []
    if (count === told.count) {
      this.#current.delete(about)
      return []
    }
    this.#told.set(about, { count, atMs: nowMs })
    const text = sentence(count - told.count)
    this.#current.set(about, text)
    return [{ level: 'warning', about, text }]
  }
}

const packets = (count: number): string => (count === 1 ? 'one packet was' : `${count} packets were`)
