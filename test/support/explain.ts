// What the tests of `heddle explain` share: the compiled program in a host, and a VXLAN network of two hosts with a pod on
// each, on the first of which no flanneld runs any more.
import { spawnSync } from 'node:child_process'
import type { Explanation } from '../../src/cli/explain/show.ts'
import { HEDDLE } from './executable.ts'
import { Flanneld } from './flanneld.ts'
import type { TestHost } from './kernel.ts'
import { eventually } from './process.ts'
import { Segment, type Host } from './segment.ts'
import { leaseKey, networkConfig, TestStore, vxlanLease } from './stores.ts'

export interface Place {
  readonly subnetFile: string
  readonly statusSocket: string
}
export function run(host: TestHost, { subnetFile, statusSocket }: Place, words: readonly string[]) {
  const flags = [`--subnet-file=${subnetFile}`, `--status-socket=${statusSocket}`, '--config-file=']
  const args = [`--net=${host.namespace.path}`, HEDDLE, 'explain', ...words, '--', ...flags]
  const { status, stdout, stderr } = spawnSync('nsenter', args, { encoding: 'utf8', timeout: 30_000 })
  return { status, stdout, stderr }
}
export const asJson = (host: TestHost, place: Place, words: readonly string[]): Explanation =>
  JSON.parse(run(host, place, ['--json', ...words]).stdout) as Explanation

/** The kinds of the hops, as far as they lead. */
export const kinds = ({ hops }: Explanation): string =>
  hops.map(({ kind, layer }) => (layer === 'outer' ? `outer ${kind}` : kind)).join(', ')
export const TUNNEL = 'route, nexthop, link, neighbour, fdb, outer route, outer link, outer neighbour'

export interface ExplainedNetwork {
  readonly host: Host
  readonly store: TestStore
  /** Of pods: on the other host, and on this one. */
  readonly there: string
  readonly here: string
  /** All is there again; the flanneld that made it was killed. */
  readonly mended: () => Promise<void>
}

export async function explainedNetwork(stack: AsyncDisposableStack): Promise<ExplainedNetwork> {
  const segment = stack.use(await Segment.create(2))
  const host = segment.host(1)
  const store = stack.use(await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' })))
  store.put(leaseKey('10.244.21.0/24'), vxlanLease('192.168.100.83', '02:42:00:00:00:81'))
  store.put(leaseKey('10.244.30.0/24'), vxlanLease('192.168.100.84', '00:00:00:00:00:00'))
  store.put(leaseKey('10.245.9.0/24'), vxlanLease('192.168.100.85', '02:42:00:00:00:85'))
  stack.use(await Flanneld.start(segment.host(2), store, { args: ['--ip-masq'] }))
  const mended = async () => {
    await using flanneld = await Flanneld.start(host, store, { args: ['--ip-masq', '--iface=eth0'] })
    await flanneld.end('SIGKILL')
  }
  await mended()
  const [own, others] = [await host.pod(), await segment.host(2).pod()]
  await eventually('the pods reach each other', async () => (await own.reaches(others.ip)) || undefined)
  return { host, store, there: others.ip, here: own.ip, mended }
}

export const base = (ip: string): string => ip.replace(/\.\d+$/, '.0')
