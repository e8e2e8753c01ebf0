// Nexthop objects with an id of our range and our protocol.
import { familyOf } from '../../model/ip.ts'
import type { Nexthop } from '../../model/kernel.ts'
import type { Kind } from '../kind.ts'

export const nexthopKind: Kind<Nexthop> = {
  name: 'nexthop',
  after: ['link', 'address'],
  key: (n) => nexthopKey(n),
  on: (n) => n.link,
  same: (want, have) => want.onLink === have.onLink,
  // The carrier reports none but those of our id range and protocol; another instance on this host has such too.
  ours: (have) => (have.isOthers === true ? 'foreign' : 'ours'),
  adopts: () => false,
  // Routes through it go with it, silently.
  disturbs: (_before, after) => (after === undefined ? ['route'] : []),
}

export const nexthopKey = (n: Pick<Nexthop, 'via' | 'link'>): string =>
  `${familyOf(n.via)}|${n.via}|${n.link}`
