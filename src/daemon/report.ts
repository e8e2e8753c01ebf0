// What flanneld knows of itself, filled in as it comes up: the lease, the peers and why some are refused, the store,
// the reconciler's work, counters. Plain JSON for /status; health.ts and metrics.ts read it too.
import type { Reconciler } from '../dataplane/reconciler.ts'
import type { Lease } from '../model/lease.ts'
import { VERSION } from '../model/version.ts'
import type { EtcdStore } from '../store/etcd/store.ts'
import type { OwnLease, StoreError } from '../store/store.ts'
import { Counters } from '../sys/counters.ts'
import type { ConntrackReading } from '../host/conntrack-watch.ts'
import type { OffloadState } from './checksum-offload/state.ts'
import type { Fabric } from './fabric.ts'
import type { Firewall } from './firewall.ts'
import type { Chosen } from './interface/choose.ts'
import type { PathKeeper } from './paths/keeper.ts'
import type { StoreWatch } from './store-watch.ts'
import type { WallReport } from './walls/watch.ts'

/** Seconds: from a round over nothing to the programming of ten thousand peers. */
const ROUND_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]

/** The sources that peers' leases are to the reconciler (fabric.ts). */
const PEER_SOURCE = 'lease '

/** What isn't there yet is absent from the report. */
export class Report {
  store: EtcdStore | undefined
  own: Lease | undefined
  /** Where `own` is kept. */
  ownLease: OwnLease | undefined
  /** The interface between hosts; the last there was. */
  external: Chosen | undefined
  /** Why there is none now. */
  get interfaceLack(): string | undefined {
    return this.#interfaceLack
  }
  set interfaceLack(reason: string | undefined) {
    this.#interfaceLack = reason
    this.stirred()
  }
  /** Why the store's network config isn't the one in force. */
  get configRefusal(): string | undefined {
    return this.#configRefusal
  }
  set configRefusal(reason: string | undefined) {
    this.#configRefusal = reason
    this.stirred()
  }
  fabric: Fabric | undefined
  firewall: Firewall | undefined
  offload: OffloadState | undefined
  reconciler: Reconciler | undefined
  /** What drops packets of pods, looked at when it is asked for. */
  walls: (() => WallReport) | undefined
  /** Where paths are asked about. */
  paths: PathKeeper | undefined
  /** Connection tracking: as it is now, undefined where there is none; and what it has lost lately, in sentences. */
  conntrack:
    | {
        readonly read: () => ConntrackReading | undefined
        readonly troubles: () => readonly string[]
      }
    | undefined
  /** What subnet.env tells pods. */
  podMtuBytes: number | undefined
  /** Set once all that was known at the start has been programmed. */
  programmed = false
  /** Told of each new phase, and that subnet.env is written. */
  onPhase: (phase: string) => void = () => undefined
  onReady: () => void = () => undefined
  /** Told of the end of each round of programming. */
  onRound: () => void = () => undefined
  readonly storeWatch: StoreWatch
  #stirring: PromiseWithResolvers<void> | undefined
  #interfaceLack: string | undefined
  #configRefusal: string | undefined
  #phase = 'starting'
  #ready = false

  readonly counters = new Counters()
  readonly leaseEvents = this.counters.counter(
    'heddle_lease_events_total',
    'What the store told of leases: snapshot, put, delete, or rejected for a key that is no lease.',
    ['kind'],
  )
  readonly storeErrors = this.counters.counter(
    'heddle_store_errors_total',
    'Calls to the store that failed, by code: unavailable, auth, full, invalid, compacted, lost.',
    ['code'],
  )
  readonly leasesLost = this.counters.counter(
    'heddle_leases_lost_total',
    'Leases of this host that another host took.',
  )
  readonly roundSeconds = this.counters.histogram(
    'heddle_reconcile_duration_seconds',
    'How long a round of comparing the kernel with what is wanted, and applying the difference, took.',
    ROUND_BOUNDS,
  )
  /** `from`: a file as the options name it, or the endpoint that presents it. */
  readonly certificateExpiry = this.counters.gauge(
    'heddle_certificate_expiry_timestamp_seconds',
    'When a certificate in use ends, in seconds since 1970: of a file, or as the endpoint of the store presents it.',
    ['from', 'subject', 'serial'],
  )

  constructor(storeWatch: StoreWatch) {
    this.storeWatch = storeWatch
  }

  /** What the daemon is doing or waiting for, in words. */
  get phase(): string {
    return this.#phase
  }
  set phase(text: string) {
    this.#phase = text
    this.onPhase(text)
    this.stirred()
  }

  /** Set after the first full programming, with subnet.env written; unset while a new lease is taken. */
  get ready(): boolean {
    return this.#ready
  }
  set ready(is: boolean) {
    this.#ready = is
    if (is) this.onReady()
  }

  /** For DataplaneOptions.onRound. */
  roundEnded(tookMs: number): void {
    this.roundSeconds.observe(tookMs / 1000)
    this.onRound()
    this.paths?.roundEnded()
    this.stirred()
  }

  /** Resolves when something of what it tells of leases or the kernel may be another next time. */
  stirring(): Promise<void> {
    return (this.#stirring ??= Promise.withResolvers<void>()).promise
  }
  stirred(): void {
    this.#stirring?.resolve()
    this.#stirring = undefined
  }

  /** How many peers have all in the kernel as it should be. */
  peersProgrammed(): number | undefined {
    const { reconciler } = this
    if (reconciler === undefined) return undefined
    const lacking = reconciler.lacking()
    let count = 0
    for (const source of reconciler.sources)
      if (source.startsWith(PEER_SOURCE) && !lacking.has(source)) count++
    return count
  }

  /** For EtcdStoreOptions.heard. */
  heard(who: string, error: StoreError | undefined): void {
    if (error !== undefined) this.storeErrors.increment({ code: error.code })
    this.storeWatch.tell(who, error)
  }

  /** All of it but whether it is ready. */
  toJson(): Readonly<Record<string, unknown>> {
    const { own, external, interfaceLack, fabric, reconciler, store } = this
    return {
      version: VERSION,
      pid: process.pid,
      phase: this.phase,
      store: store && {
        name: store.name,
        troubles: Object.fromEntries([...store.troubles].map(([who, e]) => [who, e.message])),
      },
      interface: external && { ...external, lack: interfaceLack },
      networkConfig: this.configRefusal && { refused: this.configRefusal },
      lease: own && describe(own),
      peers: fabric?.peers().map(describe),
      peersProgrammed: this.peersProgrammed(),
      refused: fabric && Object.fromEntries(fabric.refused()),
      doubtful: fabric && Object.fromEntries(fabric.doubtful()),
      conntrack: this.conntrack && { ...this.conntrack.read(), troubles: this.conntrack.troubles() },
      firewall: this.firewall?.tell(),
      checksumOffload: this.offload?.tell(),
      pathMtu: this.paths?.tell(),
      walls: this.walls?.(),
      objects: reconciler?.report(),
      failures: reconciler && Object.fromEntries(reconciler.failures),
      fights: reconciler?.fights,
      lastRepairs: reconciler?.repairs,
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
  publicIpv6: lease.ipv6?.publicIp,
  backendType: lease.backendType,
  backendData: lease.ipv4?.backendData,
  backendV6Data: lease.ipv6?.backendData,
})
