// How much history is kept, as `--auto-compaction-mode` and `--auto-compaction-retention` spell it: etcd's ways, and
// sooner than etcd's default, which is never.
import type { Retention } from '../keys/auto-compaction.ts'
import { ServeError } from '../serve-error.ts'

export const DEFAULT_MODE = 'periodic'
const DEFAULTS: Readonly<Record<string, string>> = { periodic: '1h', revision: '10000' }

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
/** As Go writes durations, as far as they make sense here: 1h30m, 0.5h, 90s. */
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/
const PART = /(?<count>\d+(?:\.\d+)?)(?<unit>ms|s|m|h)/g
const MAX_DAYS = 365

/** Undefined for a retention of 0: nothing is compacted then unless a client asks for it. Throws ServeError('usage'). */
export function parseRetention(mode: string, given: string | undefined): Retention | undefined {
  const usual = DEFAULTS[mode]
  if (usual === undefined) {
    throw new ServeError('usage', `--auto-compaction-mode ${mode} is neither periodic nor revision`)
  }
  const text = given ?? usual
  if (/^0+$/.test(text)) return undefined
  return mode === 'periodic' ? { ms: periodOf(text) } : { revisions: revisionsOf(text) }
}

function periodOf(text: string): number {
  const ms = /^\d+$/.test(text)
    ? Number(text) * 3_600_000
    : DURATION.test(text)
      ? [...text.matchAll(PART)].reduce((sum, { groups }) => sum + partMs(groups), 0)
      : NaN
  if (ms >= 1000 && ms <= MAX_DAYS * 24 * 3_600_000) return ms
  throw new ServeError(
    'usage',
    `--auto-compaction-retention ${text} isn't a time from 1s to ${MAX_DAYS} days, like 30m, 1h or 12 (hours); 0 keeps all`,
  )
}

function partMs(groups: Readonly<Record<string, string>> | undefined): number {
  return Number(groups?.['count']) * (UNIT_MS[groups?.['unit'] ?? ''] ?? NaN)
}

function revisionsOf(text: string): bigint {
  if (/^\d{1,15}$/.test(text)) return BigInt(text)
  throw new ServeError(
    'usage',
    `--auto-compaction-retention ${text} isn't a number of revisions, as --auto-compaction-mode revision wants`,
  )
}
