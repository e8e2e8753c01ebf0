// A range of keys, followed for ever: listed, then watched, through lost connections, compactions and wiped stores.
import { StoreError } from '../store.ts'
import type { Channel } from './channel.ts'
import type { Trouble } from './client.ts'
import { isFutureRevision } from './error.ts'
import type { History, Mark } from './history.ts'
import { isSame, oneKey, read, type KeyRange, type KeyValue } from './kv.ts'
import { Superseded } from './session.ts'
import { Backoff } from './wait.ts'
import { watch, type KeyEvent } from './watch.ts'

export type Followed =
  /** All keys of the range. Comes first, and again whenever continuity was lost. */
  | { readonly kind: 'list'; readonly history: string; readonly keys: readonly KeyValue[] }
  /** What changed since, in order, whole revisions at a time. Up to revision `missed`, it did while nobody watched. */
  | { readonly kind: 'events'; readonly events: readonly KeyEvent[]; readonly missed: bigint }

/** All keys of a range at one moment. */
export interface Listed {
  readonly keys: readonly KeyValue[]
  readonly place: Place
}

/** How far we have come, and by what key to recognise the store when we come back. */
export interface Place {
  readonly history: string
  readonly clusterId: bigint
  readonly revision: bigint
  /** `empty`: the range held nothing; `unknown`: the key we knew it by is deleted. */
  readonly witness: KeyValue | 'empty' | 'unknown'
}

/** Ends only with the signal, by throwing its reason. Goes on from `begun`, if that is given, instead of listing first. */
export async function* follow(
  channel: Channel,
  history: History,
  range: KeyRange,
  trouble: Trouble,
  signal: AbortSignal,
  begun?: Listed,
): AsyncGenerator<Followed, never, undefined> {
  // A store that was gone for two seconds is followed again within one.
  const backoff = new Backoff(100, 5_000, 1.25)
  let place: Place | undefined
  /** The watch was refused, perhaps for a stale login alone, which etcd before 3.5 tells no one. */
  let refused = false
  try {
    for (;;) {
      try {
        const isBack = place !== undefined
        // A read logs in again where that mends it, and else fails with the true reason.
        if (refused) await read(channel, { key: range.key, end: oneKey('').end }, signal)
        if (place === undefined) {
          const listed = begun ?? (await list(channel, history, range, signal))
          begun = undefined
          place = listed.place
          yield { kind: 'list', history: place.history, keys: listed.keys }
        }
        let begunAt: bigint | undefined
        for await (const batch of watch(channel, range, place.revision + 1n, signal)) {
          // Asked once the watch has begun: a store wiped after that ends it.
          begunAt ??= await continues(channel, history, range, place, signal)
          // Or another cluster behind one of the endpoints.
          if (begunAt === undefined || batch.at.clusterId !== place.clusterId) {
            place = undefined
            break
          }
          trouble(undefined)
          backoff.reset()
          refused = false
          if (batch.events.length === 0) continue
          place = advanced(place, batch.events)
          history.seen(place.revision)
          yield { kind: 'events', events: batch.events, missed: isBack ? begunAt : 0n }
        }
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof Superseded) continue
        if (!(error instanceof StoreError)) throw error
        // The list that follows shows what became of what we have missed.
        if (error.code === 'compacted') place = undefined
        else if (error.code !== 'auth' || refused) trouble(error)
        refused = error.code === 'auth'
      }
      await backoff.pause(signal)
    }
  } finally {
    trouble(undefined)
  }
}

export async function list(
  channel: Channel,
  history: History,
  range: KeyRange,
  signal: AbortSignal,
): Promise<Listed> {
  let mark: Mark
  let answer: Awaited<ReturnType<typeof read>>
  do {
    mark = history.mark()
    answer = await read(channel, range, signal)
  } while (!history.answered(mark, answer.at))
  const { keys, at } = answer
  const witness = keys.reduce<Place['witness']>(
    (best, kv) => (typeof best === 'string' || isBetter(kv, best) ? kv : best),
    'empty',
  )
  return { keys, place: { history: history.name, clusterId: at.clusterId, revision: at.revision, witness } }
}

/**
 * Whether the store is still the one that brought us to `place`. An etcd watch from a revision that a wiped store
 * hasn't reached is silent for ever, so we ask what it held at that revision. Throws code `compacted` if it can't say.
 * The revision that it has come to; undefined if it is another store.
 */
async function continues(
  channel: Channel,
  history: History,
  range: KeyRange,
  place: Place,
  signal: AbortSignal,
): Promise<bigint | undefined> {
  const { witness } = place
  if (witness === 'unknown' || place.history !== history.name) return undefined
  const mark = history.mark()
  const question = witness === 'empty' ? range : oneKey(witness.key)
  let answer: Awaited<ReturnType<typeof read>>
  try {
    answer = await read(channel, question, signal, place.revision)
  } catch (error) {
    if (!isFutureRevision(error)) throw error
    // No member that lags says so: reads are linearizable. The store has lost that revision, though it may soon have
    // come to one of that number again.
    history.answered(mark, (await read(channel, question, signal)).at, true)
    return undefined
  }
  const { keys, at } = answer
  const remembers = witness === 'empty' ? keys.length === 0 : isSame(keys[0], witness)
  return history.answered(mark, at, !remembers) && place.history === history.name ? at.revision : undefined
}

/** A wiped store may get the same values in the same revisions again; what it can't is the id of an etcd lease. */
const isBetter = (a: KeyValue, b: KeyValue): boolean =>
  (a.lease === 0n) === (b.lease === 0n) ? a.modRevision > b.modRevision : a.lease !== 0n

function advanced(place: Place, events: readonly KeyEvent[]): Place {
  let { revision, witness } = place
  for (const event of events) {
    const modRevision = event.kind === 'put' ? event.kv.modRevision : event.modRevision
    if (modRevision > revision) revision = modRevision
    if (event.kind === 'put') {
      if (typeof witness === 'string' || witness.key === event.kv.key || isBetter(event.kv, witness))
        witness = event.kv
    } else if (typeof witness !== 'string' && witness.key === event.key) witness = 'unknown'
  }
  return { ...place, revision, witness }
}
