// What goes wrong between the kernel and us, and the refusals that are expected in races: named, never swallowed.
import { errnoName } from '../sys/errno.ts'
import { errorText } from '../sys/libc.ts'

/**
 * `refused`: the kernel answered with an errno. `malformed`: its reply can't be read (truncated, a wrong length).
 * `interrupted`: a dump kept changing while it was read. `lost`: replies did not come (overrun, time-out), so the
 * outcome is unknown: dump again before acting.
 */
type NetlinkErrorCode = 'refused' | 'malformed' | 'interrupted' | 'lost'

export class NetlinkError extends Error {
  readonly code: NetlinkErrorCode
  /** 0 unless refused. */
  readonly errno: number
  /** `EEXIST` …; empty unless refused. */
  readonly errnoName: string
  /** The kernel's own explanation (extended ack), if it gave one. */
  readonly explanation: string | undefined

  constructor(
    code: NetlinkErrorCode,
    message: string,
    options: ErrorOptions & { errno?: number; explanation?: string | undefined } = {},
  ) {
    super(message, options)
    this.name = 'NetlinkError'
    this.code = code
    this.errno = options.errno ?? 0
    this.errnoName = this.errno === 0 ? '' : errnoName(this.errno)
    this.explanation = options.explanation
  }
}

/** What the kernel refused: `put route 10.1.2.0/24: ENETUNREACH (Network is unreachable): Nexthop has invalid gateway`. */
export function refused(subject: string, errno: number, explanation?: string, offset?: number): NetlinkError {
  const says = explanation === undefined ? '' : `: ${explanation}`
  const where = offset === undefined ? '' : ` (at byte ${offset} of the message)`
  return new NetlinkError('refused', `${subject}: ${errnoName(errno)} (${errorText(errno)})${says}${where}`, {
    errno,
    explanation,
  })
}

export const malformed = (what: string): NetlinkError =>
  new NetlinkError('malformed', `the kernel's reply can't be read: ${what}`)

export const isRefused = (error: unknown, ...names: readonly string[]): error is NetlinkError =>
  error instanceof NetlinkError && error.code === 'refused' && names.includes(error.errnoName)

/** It is there already. */
export const isExists = (error: unknown): error is NetlinkError => isRefused(error, 'EEXIST')
/** It is gone already, or its link is. */
export const isMissing = (error: unknown): error is NetlinkError =>
  isRefused(error, 'ENOENT', 'ESRCH', 'ENODEV', 'EADDRNOTAVAIL')

const unless =
  (expected: (error: unknown) => boolean) =>
  (act: () => void): boolean => {
    try {
      act()
      return true
    } catch (error) {
      if (expected(error)) return false
      throw error
    }
  }

/** Runs `act`; false if the object was there already. Every other error is thrown. */
export const ignoreExists = unless(isExists)
/** Runs `act`; false if the object, or the link it belongs to, was gone already. Every other error is thrown. */
export const ignoreMissing = unless(isMissing)
