// What tells this machine from others, as far as it can be known without a network.
import { readFileSync } from 'node:fs'

/** The text of /etc/machine-id; empty on a host without one. */
export function machineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
