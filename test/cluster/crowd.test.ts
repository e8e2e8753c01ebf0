// Fifty hosts that start at the same moment on a network of sixty subnets: each gets one of its own, and none is lost.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { agreed } from '../support/agreement.ts'
import { EtcdCluster } from '../support/etcd-cluster.ts'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment } from '../support/segment.ts'
import { networkConfig } from '../support/stores.ts'
import { Traffic } from '../support/traffic.ts'

setDefaultTimeout(120_000)

const HOSTS = 50
/** The first ones, which run already and have pods. */
const EARLY = 2
const CONFIG = networkConfig({ Type: 'vxlan' }, { SubnetMax: '10.244.159.0' })

test('weak point 21: 50 daemons that start at once on 60 subnets', async () => {
  await using segment = await Segment.create(HOSTS)
  await using cluster = await EtcdCluster.start(segment, CONFIG)
  await using stack = new AsyncDisposableStack()
  const launch = (index: number): Flanneld => {
    const host = segment.host(index + 1)
    const first = cluster.member((index % 3) + 1)
    const access = { endpoint: cluster.endpointsFrom(first), flags: cluster.flags }
    return stack.use(Flanneld.launch(host, access))
  }
  const launchAll = async (indices: readonly number[]): Promise<Flanneld[]> => {
    const daemons = indices.map(launch)
    await Promise.all(daemons.map((daemon) => daemon.ready(60)))
    return daemons
  }
  const all = Array.from({ length: HOSTS }, (_, index) => index)
  const subnets = () => segment.hosts.map(({ subnet }) => subnet)

  const early = await launchAll(all.slice(0, EARLY))
  const pods = [await segment.host(1).pod(), await segment.host(2).pod()] as const
  await eventually('the pods reach each other', async () => (await pods[0].reaches(pods[1].ip)) || undefined)
  await using traffic = await Traffic.start(pods[0].namespace, pods[1].ip)
  const late = await launchAll(all.slice(EARLY))
  expect(new Set(subnets()).size).toBe(HOSTS)
  expect(cluster.leases().size).toBe(HOSTS)
  await agreed(cluster, [...early, ...late], { withinSeconds: 60 })

  const before = subnets()
  await Promise.all(late.map((daemon) => daemon.end('SIGKILL')))
  const again = await launchAll(all.slice(EARLY))
  expect(subnets()).toEqual(before)
  await agreed(cluster, [...early, ...again], { withinSeconds: 60 })
  const { sent, lost } = await traffic.stop()
  expect({ lost }).toEqual({ lost: 0 })
  expect(sent).toBeGreaterThan(100)
})
