// All that flanneld tells Prometheus, read from the report when it is scraped; loaded by the first scrape.
// docs/metrics.md is made from it (scripts/gen-metrics.ts).
import type { KindReport } from '../dataplane/report.ts'
import type { ConntrackReading } from '../host/conntrack-watch.ts'
import { VERSION } from '../model/version.ts'
import { prometheusText } from '../status/prometheus.ts'
import type { Counters, Metric, Sample } from '../sys/counters.ts'
import { log } from '../sys/log.ts'
import { registerProcess } from './process-metrics.ts'
import type { Report } from './report.ts'
import { WATCHES, type Watch } from './store-watch.ts'

interface Readiness {
  readonly isReady: boolean
}

export const scrape = (report: Report, health: Readiness): string =>
  prometheusText(allMetrics(report, health))

/** Counters that have readings beside what is counted as it happens. */
const registered = new WeakSet<Counters>()

export function allMetrics(report: Report, health: Readiness): readonly Metric[] {
  const { counters } = report
  if (!registered.has(counters)) {
    registered.add(counters)
    registerDaemon(report, health)
    registerPeers(report)
    registerKernel(report)
    registerConntrack(report)
    registerStore(report)
    registerProcess(counters)
  }
  return counters.snapshot()
}

function registerDaemon(report: Report, health: Readiness): void {
  const { counters } = report
  counters.readings('gauge', 'heddle_build_info', 'Always 1; the labels tell what runs.', ['version'], () => [
    { labels: { version: VERSION }, value: 1 },
  ])
  counters.reading('gauge', 'heddle_ready', '1 while /readyz says so, else 0.', () =>
    health.isReady ? 1 : 0,
  )
  counters.reading(
    'gauge',
    'heddle_pod_mtu_bytes',
    'The MTU that subnet.env tells pods.',
    () => report.podMtuBytes,
  )
  counters.reading(
    'gauge',
    'heddle_small_paths',
    'Paths to peers, of each family by itself, that are known to carry less than the interface between hosts.',
    () => report.paths?.smallCount,
  )
  counters.readings(
    'counter',
    'heddle_log_messages_total',
    'Messages for the log by level (info, warning, error), repeats that were folded among them.',
    ['level'],
    () => Object.entries(log.counts).map(([level, value]) => ({ labels: { level }, value })),
  )
}

function registerPeers(report: Report): void {
  const { counters } = report
  counters.reading(
    'gauge',
    'heddle_peers_wanted',
    'Other hosts whose leases are valid: so many should be reached.',
    () => report.fabric?.peers().length,
  )
  counters.reading(
    'gauge',
    'heddle_peers_programmed',
    'Other hosts for which all is in the kernel as it should be.',
    () => report.peersProgrammed(),
  )
  counters.reading(
    'gauge',
    'heddle_leases_refused',
    'Keys and leases in the store that are not programmed, wholly or in part; /status tells why.',
    () => report.fabric?.refused().size,
  )
  counters.reading(
    'gauge',
    'heddle_peers_doubtful',
    'Peers that share their public address with another one.',
    () => report.fabric?.doubtful().size,
  )
}

function registerKernel(report: Report): void {
  const { counters } = report
  const kinds = (read: (kind: KindReport) => number) => (): Sample[] =>
    Object.entries(report.reconciler?.report().kinds ?? {}).map(([kind, about]) => ({
      labels: { kind },
      value: read(about),
    }))
  const byKind = (
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    read: (kind: KindReport) => number,
  ) => counters.readings(type, name, help, ['kind'], kinds(read))
  byKind('gauge', 'heddle_objects_wanted', 'Kernel objects that should be there.', (kind) => kind.wanted)
  byKind(
    'gauge',
    'heddle_objects_actual',
    'Kernel objects of ours that are there, wanted or not, as far as flanneld knows.',
    (kind) => kind.actual,
  )
  byKind(
    'gauge',
    'heddle_objects_programmed',
    'Of the kernel objects that should be there: those that are, as far as flanneld knows.',
    (kind) => kind.programmed,
  )
  byKind(
    'gauge',
    'heddle_objects_failing',
    'Kernel objects that the kernel refuses, or that two peers want differently; /status names them.',
    (kind) => kind.failing,
  )
  byKind(
    'gauge',
    'heddle_objects_blocked',
    'Kernel objects that wait for another one, as a link that is missing.',
    (kind) => kind.blocked,
  )
  byKind('counter', 'heddle_object_puts_total', 'Kernel objects made or changed.', (kind) => kind.puts)
  byKind('counter', 'heddle_object_removes_total', 'Kernel objects removed.', (kind) => kind.removes)
  byKind(
    'counter',
    'heddle_repairs_total',
    'Of the kernel objects made, changed or removed: those that undid what somebody else had done.',
    (kind) => kind.repairs,
  )
  counters.reading(
    'gauge',
    'heddle_fights',
    'Kernel objects that something else keeps changing, though they are put right each time; /status names them.',
    () => report.reconciler?.fights.length,
  )
  counters.readings(
    'gauge',
    'heddle_checksum_offload_off',
    '1 where flanneld keeps checksum offload of the device switched off, 0 where it does not; /status tells why.',
    ['device'],
    () =>
      Object.entries(report.offload?.tell() ?? {}).map(([device, { txChecksumming }]) => ({
        labels: { device },
        value: txChecksumming === 'off' ? 1 : 0,
      })),
  )
  byKind(
    'counter',
    'heddle_kernel_dumps_total',
    'Times a table of the kernel was read as a whole.',
    (kind) => kind.dumps,
  )
  counters.reading(
    'gauge',
    'heddle_reconcile_last_timestamp_seconds',
    'When the last round ended that ran through, in seconds since 1970.',
    () => secondsOf(report.reconciler?.report().lastRoundAt),
  )
}

function registerConntrack(report: Report): void {
  const { counters } = report
  const read = (pick: (reading: ConntrackReading) => number | undefined) => (): number | undefined => {
    const reading = report.conntrack?.read()
    return reading && pick(reading)
  }
  const gauge = (name: string, help: string, pick: (reading: ConntrackReading) => number | undefined) =>
    counters.reading('gauge', name, help, read(pick))
  const count = (name: string, help: string, pick: (reading: ConntrackReading) => number | undefined) =>
    counters.reading('counter', name, help, read(pick))
  gauge('heddle_conntrack_entries', 'Connections that the kernel tracks.', ({ entries }) => entries)
  gauge('heddle_conntrack_max', 'How many it may track: beyond, new ones are dropped.', ({ max }) => max)
  count(
    'heddle_conntrack_insert_failed_total',
    'Packets lost as two connections wanted the same place in connection tracking at once.',
    ({ insertFailed }) => insertFailed,
  )
  count(
    'heddle_conntrack_drop_total',
    'Packets of new connections dropped as connection tracking was full.',
    ({ drop }) => drop,
  )
  count(
    'heddle_conntrack_early_drop_total',
    'Tracked connections thrown out to make room for new ones.',
    ({ earlyDrop }) => earlyDrop,
  )
}

function registerStore(report: Report): void {
  const { counters, storeWatch } = report
  const watches = (read: (watch: Watch) => number | undefined): Sample[] =>
    WATCHES.flatMap((watch) => {
      const value = read(watch)
      return value === undefined ? [] : [{ labels: { watch }, value }]
    })
  counters.readings(
    'gauge',
    'heddle_store_watch_age_seconds',
    'Since the store last said something on this watch. A quiet one is asked each minute whether it lives.',
    ['watch'],
    () =>
      watches((watch) => {
        const ageMs = storeWatch.ageMs(watch)
        return ageMs === undefined ? undefined : ageMs / 1000
      }),
  )
  counters.readings(
    'gauge',
    'heddle_store_watch_up',
    '1 while the watch works, 0 while it is lost.',
    ['watch'],
    () =>
      watches((watch) =>
        storeWatch.lost(watch) !== undefined ? 0 : storeWatch.ageMs(watch) === undefined ? undefined : 1,
      ),
  )
  counters.reading(
    'gauge',
    'heddle_lease_expiry_timestamp_seconds',
    'When the lease of this host ends unless it is renewed, in seconds since 1970; absent for a reservation.',
    () => secondsOf(report.ownLease?.expiresAt),
  )
}

const secondsOf = (date: Date | undefined): number | undefined => date && date.getTime() / 1000
