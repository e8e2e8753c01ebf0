// Kernel settings under /proc/sys: each by its name. Those that nobody wants are nobody's business.
import type { Sysctl } from '../../model/kernel.ts'
import type { Kind } from '../kind.ts'

export const sysctlKind: Kind<Sysctl> = {
  name: 'sysctl',
  after: ['link'],
  key: (s) => s.name,
  on: (s) => s.link,
  same: (want, have) => isFine(want, have.value),
  // A dump has those that are wanted, and those that were set and are to be put back.
  ours: () => 'ours',
  adopts: () => false,
  disturbs: () => [],
}

/** Whether a setting may stay as it is. */
export function isFine({ value, fine }: Pick<Sysctl, 'value' | 'fine'>, have: number): boolean {
  if (have === value) return true
  if (fine === undefined) return false
  return fine === 'greater' ? have > value : fine.includes(have)
}
