// What /status tells: the lease, the peers and why some are refused, the store, the reconciler's work. Plain JSON.
import type { Reconciler } from '../dataplane/reconciler.ts'
import type { Lease } from '../model/lease.ts'
import { VERSION } from '../model/version.ts'
import type { StatusSource } from '../status/server.ts'
import type { EtcdStore } from '../store/etcd/store.ts'
import { Counters } from '../sys/counters.ts'
import type { Fabric } from './fabric.ts'

/** Filled in as the daemon comes up; what isn't there yet is absent from the report. */
export class Report implements StatusSource {
  /** Set after the first full programming, with subnet.env written. */
  ready = false
  /** What the daemon is doing or waiting for, in words. */
  phase = 'starting'
  store: EtcdStore | undefined
  own: Lease | undefined
  fabric: Fabric | undefined
  reconciler: Reconciler | undefined
  readonly counters = new Counters()
  readonly leaseEvents = this.counters.counter('heddle_lease_events_total', 'What the store told of leases', [
    'kind',
  ])
  readonly storeTroubles = this.counters.counter('heddle_store_troubles_total', 'Times the store failed us', [
    'code',
  ])
  readonly leasesLost = this.counters.counter(
    'heddle_leases_lost_total',
    'Leases of ours that another host took',
  )

  report(): unknown {
    const { own, fabric, reconciler, store } = this
    return {
      version: VERSION,
      pid: process.pid,
      ready: this.ready,
      phase: this.phase,
      store: store && {
        name: store.name,
        troubles: Object.fromEntries([...store.troubles].map(([who, e]) => [who, e.message])),
      },
      lease: own && describe(own),
      peers: fabric?.peers().map(describe),
      refused: fabric && Object.fromEntries(fabric.refused()),
      doubtful: fabric && Object.fromEntries(fabric.doubtful()),
      objects: reconciler?.report(),
      failures: reconciler && Object.fromEntries(reconciler.failures),
      counters: this.counters.snapshot(),
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
