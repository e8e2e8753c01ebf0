// One etcd watch on one connection: events from a revision on, whole revisions at a time, and proof that it's alive.
import type { Call } from './call.ts'
import type { Channel } from './channel.ts'
import { EtcdError, STALE_LOGIN, Status, unavailable } from './error.ts'
import type { KeyRange, KeyValue, Position } from './kv.ts'
import { watchKeys } from './methods.ts'
import type { WatchRequest } from './requests.ts'
import { DELETE_EVENT, type Event, type WatchResponse } from './responses.ts'

export type KeyEvent =
  | { readonly kind: 'put'; readonly kv: KeyValue }
  | { readonly kind: 'delete'; readonly key: string; readonly modRevision: bigint }

/** What has come in one answer of the server: nothing when the watch has begun, or to show that it lives. */
export interface WatchBatch {
  readonly at: Position
  readonly events: readonly KeyEvent[]
}

/** A stream that says nothing is asked for its progress this often, and must answer soon. Pings notice a frozen server; this notices one whose watches are stuck. */
const PROGRESS_EVERY_MS = 60_000
const PROGRESS_ANSWER_MS = 10_000

/**
 * Follows the range from `revision` on. The first batch, empty, says that the server has accepted the watch. Throws
 * EtcdError: code `compacted` if that revision is no more, else whatever ended the stream. Never returns by itself.
 * (The revision of a progress answer isn't used: etcd before 3.4.25 and 3.5.8 may send it ahead of events, etcd #15220.)
 */
export async function* watch(
  channel: Channel,
  range: KeyRange,
  revision: bigint,
  signal: AbortSignal,
): AsyncGenerator<WatchBatch, never, undefined> {
  // Without `hasleader` a member that lost its cluster would keep the stream open and silent.
  using call = await channel.stream(watchKeys, { hasleader: 'true' }, signal)
  using pulse = new Pulse(call, channel.endpoint)
  call.send({ kind: 'create', key: range.key, rangeEnd: range.end, startRevision: revision })
  let fragments: Event[] = []
  for await (const answer of call.messages()) {
    if (answer.canceled) throw cancelled(channel.endpoint, answer)
    fragments.push(...answer.events)
    if (!answer.fragment) {
      pulse.rest()
      yield { at: answer.header, events: fragments.map(keyEventOf) }
      fragments = []
    }
    pulse.felt()
  }
  throw unavailable(channel.endpoint, 'Watch', 'the server ended the watch')
}

const keyEventOf = ({ type, kv }: Event): KeyEvent =>
  type === DELETE_EVENT ? { kind: 'delete', key: kv.key, modRevision: kv.modRevision } : { kind: 'put', kv }

function cancelled(endpoint: string, answer: WatchResponse): EtcdError {
  const reason = answer.cancelReason || 'the server cancelled it'
  const status =
    answer.compactRevision > 0n
      ? Status.outOfRange
      : /permission denied/.test(reason)
        ? Status.permissionDenied
        : STALE_LOGIN.test(reason)
          ? Status.unauthenticated
          : Status.unavailable
  return new EtcdError(status, endpoint, 'Watch', reason)
}

/** Asks a silent watch for its progress, and fails it if that isn't answered. Owns its timer. */
class Pulse implements Disposable {
  readonly #call: Call<WatchRequest, WatchResponse>
  readonly #endpoint: string
  #timer: NodeJS.Timeout

  constructor(call: Call<WatchRequest, WatchResponse>, endpoint: string) {
    this.#call = call
    this.#endpoint = endpoint
    this.#timer = this.#failSoon()
  }

  /** The caller is busy with what came: nothing is expected of the server. */
  rest(): void {
    clearTimeout(this.#timer)
  }

  /** The server has said something. */
  felt(): void {
    this.rest()
    this.#timer = setTimeout(() => {
      this.#call.send({ kind: 'progress' })
      this.#timer = this.#failSoon()
    }, PROGRESS_EVERY_MS)
  }

  [Symbol.dispose](): void {
    this.rest()
  }

  #failSoon(): NodeJS.Timeout {
    return setTimeout(() => {
      const detail = `the watch said nothing for ${PROGRESS_ANSWER_MS / 1000} s though it was asked to`
      this.#call.fail(unavailable(this.#endpoint, 'Watch', detail))
    }, PROGRESS_ANSWER_MS)
  }
}
