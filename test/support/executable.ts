// The compiled executable, which is what daemon tests start; built first if a source is newer.
import { join } from 'node:path'
import { buildIfStale } from '../../scripts/stale.ts'

export const ROOT = join(import.meta.dirname, '..', '..')
export const HEDDLE = join(ROOT, 'dist', 'heddle')
export const FLANNELD = join(ROOT, 'dist', 'flanneld')
/** The CNI plugin. */
export const FLANNEL = join(ROOT, 'dist', 'flannel')

buildIfStale(ROOT)
