// When everything is to be audited: once a minute, and first of all soon after the start.

const AUDIT_MS = 60_000
/** The audits of many hosts that started together drift apart. */
const JITTER = 0.2
/** The first one looks at all that the start has put: better soon, as part of the start, than in an idle minute. */
const FIRST_MS = 5_000

export class AuditClock {
  readonly #everyMs: number
  #nextMs = Infinity

  constructor(everyMs = AUDIT_MS) {
    this.#everyMs = everyMs
    this.#set(everyMs)
  }

  /** By performance.now(). */
  get nextMs(): number {
    return this.#nextMs
  }

  /** All that is wanted is known: this is the start. */
  start(): void {
    this.#set(Math.min(FIRST_MS, this.#everyMs))
  }

  /** Whether one is due, which is told once. */
  strikes(nowMs: number): boolean {
    if (nowMs < this.#nextMs) return false
    this.#set(this.#everyMs)
    return true
  }

  #set(pauseMs: number): void {
    this.#nextMs = performance.now() + pauseMs * (1 + JITTER * (Math.random() - 0.5))
  }
}
