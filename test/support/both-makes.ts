// heddle's flanneld and upstream's in the same scene, each with a host and an etcd of its own: a fault that upstream shows
// there is proved to be provoked.
import type { Make } from './flanneld.ts'
import { eventually } from './process.ts'
import { Segment, type Host } from './segment.ts'
import { leaseKey, networkConfig, TestStore, vxlanLease } from './stores.ts'

/** Dozens of processes may be at it at once. */
export const PATIENCE_SECONDS = 25

export const VXLAN = networkConfig({ Type: 'vxlan' })
export const HOST_GW = networkConfig({ Type: 'host-gw' })

/** The subnet of a made-up peer, whose number is from 10 to 99. */
export const subnetOf = (number: number) => `10.244.${number}.0/24`
export const putPeer = (store: TestStore, number: number, mac = `02:42:00:00:00:${number}`) =>
  store.put(leaseKey(subnetOf(number)), vxlanLease(`192.168.100.${number}`, mac))

export const hostGwLease = (publicIp: string) =>
  JSON.stringify({ PublicIP: publicIp, PublicIPv6: null, BackendType: 'host-gw' })
export const putHostGw = (store: TestStore, ...numbers: readonly number[]) => {
  for (const number of numbers) store.put(leaseKey(subnetOf(number)), hostGwLease(`192.168.100.${number}`))
}

/** A host of its own, with a store of its own: what either does disturbs nobody. */
async function scene(config: string) {
  await using parts = new AsyncDisposableStack()
  const segment = parts.use(await Segment.create(1, 'dual'))
  const store = parts.use(await TestStore.start('etcd', segment, config))
  const kept = parts.move()
  return { segment, host: segment.host(1), store, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}
type Scene = Awaited<ReturnType<typeof scene>>

/** What both do in the same scene. */
export async function both<T>(
  observe: (make: Make, scene: Scene) => Promise<T>,
  config = VXLAN,
): Promise<Record<Make, T>> {
  const one = async (make: Make) => {
    await using own = await scene(config)
    return await observe(make, own)
  }
  const [upstream, heddle] = await Promise.all([one('upstream'), one('heddle')])
  return { upstream, heddle }
}

/** Made-up peers whose pods the kernel has a way to. */
export async function peersOf(host: Host): Promise<readonly string[]> {
  const routes = await host.sh('ip route show')
  return routes.split('\n').flatMap((line) => /^(10\.244\.\d\d\.0\/24) /.exec(line)?.[1] ?? [])
}
/** Waits until the kernel has ways to the pods of those peers. */
export const knows = (host: Host, ...numbers: readonly number[]) =>
  eventually(
    `there are routes to ${numbers.map(subnetOf).join(', ')}`,
    async () => {
      const peers = await peersOf(host)
      return numbers.every((number) => peers.includes(subnetOf(number))) || undefined
    },
    PATIENCE_SECONDS,
  )
