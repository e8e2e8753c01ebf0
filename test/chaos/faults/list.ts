// Every kind of fault.
import { DEVICE_FAULTS } from './devices.ts'
import type { Fault } from './fault.ts'
import { PROCESS_FAULTS } from './processes.ts'
import { STORM_FAULTS } from './storm.ts'
import { TABLE_FAULTS } from './tables.ts'
import { UNDERLAY_FAULTS } from './underlay.ts'

/** Nothing of heddle's is harmed: that it isn't touched is all there is to see. */
const COMPANY: Fault = {
  name: 'foreign objects beside ours',
  async *run({ site }) {
    // Else it could take some of it away before that is noted.
    site.flanneld.process.signal('SIGSTOP')
    try {
      await site.addForeign()
    } finally {
      site.flanneld.process.signal('SIGCONT')
    }
    yield 'over'
  },
}

export const FAULTS: readonly Fault[] = [
  ...DEVICE_FAULTS,
  ...TABLE_FAULTS,
  ...UNDERLAY_FAULTS,
  ...PROCESS_FAULTS,
  ...STORM_FAULTS,
  COMPANY,
]
