// Whether all hosts agree with the store: each kernel reaches exactly the hosts that have a lease there, by the MAC and
// address that the lease tells, and each daemon says so. For VXLAN.
import type { EtcdKeys } from './etcd-keys.ts'
import { leaseKey } from './etcd-keys.ts'
import type { Flanneld } from './flanneld.ts'
import { eventually } from './process.ts'
import type { Host } from './segment.ts'

/** A peer as `10.244.7.0/24 02:… 192.168.100.7`: subnet, VTEP MAC, PublicIP. */
type PeerLine = string

/** Waits until it is so; throws with the difference after the time. Leases that the daemons must refuse are left out by `unless`. */
export async function agreed(
  store: EtcdKeys,
  daemons: readonly Flanneld[],
  { withinSeconds = 15, unless = (_key: string): boolean => false } = {},
): Promise<void> {
  let difference: unknown
  const look = async () => {
    difference = await differences(store, daemons, unless)
    return difference === undefined || undefined
  }
  await eventually('the store and all hosts agree', look, withinSeconds).catch((error: unknown) => {
    throw new Error(`${String(error)}; ${(JSON.stringify(difference, undefined, 1) ?? '').slice(0, 3000)}`)
  })
}

async function differences(
  store: EtcdKeys,
  daemons: readonly Flanneld[],
  unless: (key: string) => boolean,
): Promise<unknown> {
  const leases = new Map([...store.leases()].filter(([key]) => !unless(key)))
  for (const { host } of daemons)
    if (!leases.get(leaseKey(host.subnet))?.includes(`"PublicIP":"${host.ip}"`))
      return { host: host.name, 'has no lease': host.subnet, leases: [...leases] }
  for (const daemon of daemons) {
    const { host } = daemon
    const wanted = [...leases]
      .filter(([key]) => key !== leaseKey(host.subnet))
      .map(([key, value]) => peerOf(key, value))
      .sort()
    const kernel = await kernelPeers(host)
    if (kernel.join() !== wanted.join()) return { host: host.name, kernel, wanted }
    const { ready, peers = [], objects, store: link } = await daemon.report()
    const told = peers.map(({ subnet }) => subnet).sort()
    const subnets = wanted.map((peer) => peer.split(' ')[0])
    const troubles = link?.troubles ?? {}
    if (!ready || objects?.complete !== true || Object.keys(troubles).length > 0)
      return { host: host.name, ready, complete: objects?.complete, troubles }
    if (told.join() !== subnets.join()) return { host: host.name, told, wanted }
  }
  return undefined
}

function peerOf(key: string, value: string): PeerLine {
  const name = key.slice(leaseKey('').length).replace('-', '/')
  const lease = JSON.parse(value) as {
    readonly PublicIP: string
    readonly BackendData: { readonly VtepMAC: string }
  }
  return `${name} ${lease.BackendData.VtepMAC} ${lease.PublicIP}`
}

/** Peers that the kernel can reach: a route to the subnet, its gateway's neighbour entry, and where that MAC is. */
async function kernelPeers(host: Host): Promise<PeerLine[]> {
  const [routes, neighbours, fdb] = await Promise.all([
    host.ipJson('route show proto 0x68'),
    host.ipJson('neigh show dev flannel.1 nud permanent'),
    host
      .sh('bridge -json fdb show dev flannel.1')
      .then((out) => JSON.parse(out) as Record<string, unknown>[]),
  ])
  return routes
    .map(({ dst, gateway }) => {
      const mac = neighbours.find((neighbour) => neighbour['dst'] === gateway)?.['lladdr']
      const at = fdb.find((entry) => entry['mac'] === mac)?.['dst']
      return [dst, mac, at].map(String).join(' ')
    })
    .sort()
}
