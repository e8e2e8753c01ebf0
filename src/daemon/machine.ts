// What tells this machine from others, as far as it can be known without a network.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** The text of /etc/machine-id; empty on a host without one. */
export const machineId = (): string => read('/etc/machine-id')

/** Another one on a copy of this machine: copies have its machine-id, but are given a UUID of their own by who runs them. */
export const machineFingerprint = (): string =>
  createHash('sha256')
    .update(`${machineId().trim()}\n${read('/sys/class/dmi/id/product_uuid').trim()}`)
    .digest('hex')
    .slice(0, 16)

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return ''
    throw error
  }
}
