// Permanent entries in the forwarding database of a VXLAN device of our own.
import type { FdbEntry } from '../../model/kernel.ts'
import type { Kind } from '../kind.ts'

export const fdbKind: Kind<FdbEntry> = {
  name: 'fdb',
  after: ['link'],
  key: (f) => fdbKey(f),
  on: (f) => f.link,
  same: (want, have) => want.dst === have.dst && want.unrecognised === have.unrecognised,
  ours: (have, scope) => (scope.links.has(have.link) ? 'ours' : 'foreign'),
  adopts: () => false,
  disturbs: () => [],
}

export const fdbKey = (f: Pick<FdbEntry, 'link' | 'mac'>): string => `${f.link}|${f.mac}`
