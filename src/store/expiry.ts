// When a certificate ends, and what is said about that: nothing until 14 days before, then the days left.

const DAY_MS = 24 * 3600 * 1000
const WARNING_DAYS = 14
/** setTimeout holds 31 bits of milliseconds. */
const MAX_WAIT_MS = 2 ** 31 - 1

export interface ExpiryWarning {
  readonly level: 'warning' | 'error'
  readonly text: string
}

export interface Ending {
  /** As X509Certificate has it. */
  readonly subject: string
  readonly endMs: number
}
export interface Expiry {
  readonly endMs: number
  warning(nowMs: number): ExpiryWarning | undefined
}

/** Of a certificate in a file that is read again by itself; for one elsewhere `todo` says what to do. */
export function expiryOf(
  { subject, endMs }: Ending,
  where: string,
  todo = 'put a new one in its place; it is used without a restart',
): Expiry {
  const who = `the certificate of ${subject.replaceAll('\n', ', ')} ${where}`
  const day = new Date(endMs).toISOString().slice(0, 10)
  return {
    endMs,
    warning(nowMs) {
      if (nowMs >= endMs) {
        return { level: 'error', text: `${who} has expired on ${day}: ${todo}` }
      }
      if (endMs - nowMs > WARNING_DAYS * DAY_MS) return undefined
      const days = Math.floor((endMs - nowMs) / DAY_MS)
      const left = days === 0 ? 'within a day' : days === 1 ? 'in 1 day' : `in ${days} days`
      return {
        level: 'warning',
        text: `${who} expires ${left}, on ${day}: ${todo}`,
      }
    },
  }
}

/** Until there may be something new to tell: each day of the last 14 and after the end, else when they begin. */
export function nextLookMs(expiries: readonly Expiry[], nowMs: number): number {
  const warnings = expiries.map(({ endMs }) => endMs - WARNING_DAYS * DAY_MS - nowMs)
  const soonest = Math.min(...warnings)
  return Math.min(soonest < 0 ? DAY_MS : soonest + 1, MAX_WAIT_MS)
}
