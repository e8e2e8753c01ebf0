// Who carries a kind of object into the world. Netlink is the first; iptables, UAPI sockets, a proxy's map and
// cloud APIs are others.

export type Change<T> =
  | { readonly op: 'put'; readonly want: T; readonly have: T | undefined }
  | { readonly op: 'remove'; readonly have: T }

/** `blocked`: can't be there yet because of something else (a link that is missing); tried again when that changes. */
export type Result =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'blocked'; readonly on: string; readonly reason: string }

/** Look again: at one key, at all that depends on a link, or at everything of this kind (an overrun). Never the truth itself. */
export type Hint =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'link'; readonly link: string }
  | { readonly kind: 'everything'; readonly reason: string }

export interface Carrier<T> {
  /** What is there now; foreign objects may be among them. Throws if it can't be read completely. */
  dump(signal: AbortSignal): Promise<readonly T[]>
  /** One result for each change, in order. Already there, or already gone, is `done`. */
  apply(changes: readonly Change<T>[], signal: AbortSignal): Promise<readonly Result[]>
  hints(signal: AbortSignal): AsyncIterable<Hint>
}
