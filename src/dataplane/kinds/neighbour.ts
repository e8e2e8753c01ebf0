// Permanent ARP and NDP entries on links of our own.
import type { Neighbour } from '../../model/kernel.ts'
import type { Kind } from '../kind.ts'

export const neighbourKind: Kind<Neighbour> = {
  name: 'neighbour',
  after: ['link', 'address'],
  key: (n) => neighbourKey(n),
  on: (n) => n.link,
  same: (want, have) => want.mac === have.mac,
  ours: (have, scope) => (scope.links.has(have.link) ? 'ours' : 'foreign'),
  adopts: () => false,
  disturbs: () => [],
}

export const neighbourKey = (n: Pick<Neighbour, 'link' | 'ip'>): string => `${n.link}|${n.ip}`
