// What /status tells: the lease, the peers and why some are refused, the reconciler's work. Plain JSON.
import type { Lease } from '../model/lease.ts'
import { VERSION } from '../model/version.ts'
import type { Reconciler } from '../dataplane/reconciler.ts'
import type { StatusSource } from '../status/server.ts'
import type { Fabric } from './fabric.ts'

/** Filled in as the daemon comes up; what isn't there yet is absent from the report. */
export class Report implements StatusSource {
  /** Set after the first full programming, with subnet.env written. */
  ready = false
  /** What the daemon is doing or waiting for, in words. */
  phase = 'starting'
  store: string | undefined
  own: Lease | undefined
  fabric: Fabric | undefined
  reconciler: Reconciler | undefined

  report(): unknown {
    const own = this.own
    return {
      version: VERSION,
      pid: process.pid,
      ready: this.ready,
      phase: this.phase,
      store: this.store,
      lease: own && describe(own),
      peers: this.fabric?.peers().map(describe),
      refused: this.fabric && Object.fromEntries(this.fabric.refused()),
      objects: this.reconciler?.report(),
      failures: this.reconciler && Object.fromEntries(this.reconciler.failures),
      rssBytes: process.memoryUsage.rss(),
    }
  }
}

const describe = (lease: Lease) => ({
  key: lease.key,
  subnet: lease.ipv4?.subnet,
  ipv6Subnet: lease.ipv6?.subnet,
  publicIp: lease.ipv4?.publicIp,
  backendType: lease.backendType,
  backendData: lease.ipv4?.backendData,
})
