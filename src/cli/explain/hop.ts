// One object of the kernel on a packet's way, and what becomes of the packet there.

export interface Hop {
  /** Of the packet itself, or of the one that carries it through a tunnel. */
  readonly layer: 'inner' | 'outer'
  readonly kind:
    | 'forwarding'
    | 'lease'
    | 'route'
    | 'nexthop'
    | 'link'
    | 'address'
    | 'neighbour'
    | 'fdb'
    | 'masquerade'
  /**
   * `wrong`: it is there and ends the way. `open`: nothing hangs on it, or the kernel finds out when a packet goes.
   * `unknown`: whether the packet gets on can't be told from here.
   */
  readonly state: 'there' | 'missing' | 'wrong' | 'open' | 'unknown'
  /** In the words of ip(8). */
  readonly object: string
  readonly note?: string
  /** What to do about it. */
  readonly advice?: string
}

export const isBroken = ({ state }: Hop): boolean => state === 'missing' || state === 'wrong'

export const there = (layer: Hop['layer'], kind: Hop['kind'], object: string, note?: string): Hop => ({
  layer,
  kind,
  state: 'there',
  object,
  ...(note === undefined ? {} : { note }),
})
