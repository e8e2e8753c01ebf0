// What is known of the path to one peer. Pure.
import type { Family } from '../model/ip.ts'
import { familyOfPrefix } from '../model/prefix.ts'
import { VXLAN_OVERHEAD_BYTES } from '../model/vxlan.ts'
import type { SearchRange } from './search.ts'
import type { Target } from './target.ts'

/** Below this no path is looked at: IPv4 as the kernel's own min_pmtu has it (552), IPv6 by RFC 8200 §5 (1280). */
const LEAST_INNER_BYTES: Readonly<Record<Family, number>> = { ipv4: 552, ipv6: 1280 }
/** How long an answer may take where none has been seen yet, as RFC 8899 §5.1.1 has it, and the limits once one has. */
const FIRST_WAIT_MS = 1_000
const LEAST_WAIT_MS = 120
const LONGEST_WAIT_MS = 2_000
/** After a look that nobody answered, and twice as long after each further one. */
const FIRST_SILENCE_MS = 5_000
const LONGEST_SILENCE_MS = 300_000

export class PeerPath {
  /** Who named it. */
  readonly source: string
  readonly target: Target
  /** The largest outer packet that comes through; undefined while that isn't known. */
  bytes: number | undefined
  /** Until when its traffic is no reason to ask, by performance.now(): it has answered nothing. */
  #deafUntilMs = 0
  #silences = 0
  #roundTripMs: number | undefined

  constructor(source: string, target: Target) {
    this.source = source
    this.target = target
  }

  get #family(): Family {
    return familyOfPrefix(this.target.subnet)
  }
  get #overheadBytes(): number {
    return VXLAN_OVERHEAD_BYTES[this.#family]
  }

  /** Whether it is known to carry less than the interface. */
  isSmall(interfaceBytes: number): boolean {
    return this.bytes !== undefined && this.bytes < interfaceBytes
  }

  /** What a packet within may have, where that is less than what the interface leaves. */
  mtuBytes(interfaceBytes: number): number | undefined {
    return this.bytes === undefined || this.bytes >= interfaceBytes
      ? undefined
      : this.bytes - this.#overheadBytes
  }

  /** `whole`: whether it may carry more than is known; else only whether it still carries that. */
  range(interfaceBytes: number, whole: boolean): SearchRange {
    const leastBytes = LEAST_INNER_BYTES[this.#family] + this.#overheadBytes
    const known = Math.min(this.bytes ?? interfaceBytes, interfaceBytes)
    return {
      topBytes: whole ? interfaceBytes : known,
      leastBytes: Math.min(leastBytes, interfaceBytes),
      hints: known < interfaceBytes ? [known] : [],
    }
  }

  wasSilent(nowMs: number): void {
    this.#deafUntilMs = nowMs + Math.min(FIRST_SILENCE_MS * 2 ** this.#silences, LONGEST_SILENCE_MS)
    this.#silences++
  }

  /** Whether to ask for its traffic's sake. */
  mayAnswer(nowMs: number): boolean {
    return nowMs >= this.#deafUntilMs
  }

  tookMs(roundTripMs: number): void {
    this.#silences = 0
    this.#deafUntilMs = 0
    this.#roundTripMs = Math.max(roundTripMs, 0.5 * (this.#roundTripMs ?? 0))
  }

  /** How long to wait for an answer. */
  get waitMs(): number {
    if (this.#roundTripMs === undefined) return FIRST_WAIT_MS
    return Math.min(LONGEST_WAIT_MS, Math.max(LEAST_WAIT_MS, 100 + 3 * this.#roundTripMs))
  }
}
