// Who carries a kind of object into the world. Netlink is the first; iptables, UAPI sockets, a proxy's map and
// cloud APIs are others.
import type { Witness } from './witness.ts'

export type Change<T> =
  | { readonly op: 'put'; readonly want: T; readonly have: T | undefined }
  | { readonly op: 'remove'; readonly have: T }

/**
 * `blocked`: can't be there yet because of something else; tried again when that is put or changes. `on` names it:
 * a link, or the key of a nexthop.
 */
export type Result =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'blocked'; readonly on: string; readonly reason: string }

export const done: Result = { kind: 'done' }
export const failed = (reason: string): Result => ({ kind: 'failed', reason })
export const blocked = (on: string, reason: string): Result => ({ kind: 'blocked', on, reason })

/** Look again. Never the truth itself: what a hint shows only tells whether it is news. */
export type Hint<T> =
  /**
   * An object as the notification shows it, undefined if it went; `was`: what went, where the notification says.
   * No news if it is what we believe already.
   */
  | {
      readonly kind: 'seen'
      readonly key: string
      readonly have: T | undefined
      readonly was?: T | undefined
    }
  /** At all that depends on this link, whatever the kind. */
  | { readonly kind: 'link'; readonly link: string }
  /** At everything of this kind (an overrun, a notification that doesn't say what changed). */
  | { readonly kind: 'everything'; readonly reason: string }

export interface Carrier<T> {
  /**
   * What is there now; foreign objects may be among them. Throws if it can't be read completely. Whether another dump
   * would show the same can be asked of `witness` from then on, if the carrier can tell that any cheaper.
   */
  dump(signal: AbortSignal, witness?: Witness): Promise<readonly T[]>
  /** One result for each change, in order. Already there, or already gone, is `done`. */
  apply(changes: readonly Change<T>[], signal: AbortSignal): Promise<readonly Result[]>
  /** Told of each object that is wanted, for who can't list what there is and has to look at these. */
  wanted?(object: T): void
  /** Something wanted lives on this link: hints are to tell of its changes. */
  attend(link: string): void
  /** True once there may be something to take by `heard`; false when the signal has ended it. */
  ready(signal: AbortSignal): Promise<boolean>
  /**
   * Takes the hints so far, without waiting: changes that others made, and such of our own as can't be told apart. A
   * dump begun afterwards answers them all, so none may be under way anywhere else.
   */
  heard(): readonly Hint<T>[]
}
