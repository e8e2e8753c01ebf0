// Which leases a flanneld refuses, and what the kernel has of peers.
import type { Flanneld } from './flanneld.ts'
import { eventually } from './process.ts'
import type { Host } from './segment.ts'
import { leaseKey } from './stores.ts'

/** Why the lease of that subnet is refused, if it is. */
export async function refusalOf(flanneld: Flanneld, subnet: string): Promise<string | undefined> {
  const key = leaseKey(subnet)
  const refused = Object.entries((await flanneld.report()).refused ?? {})
  return refused.find(([told]) => key.endsWith(told))?.[1]
}

export const refused = (flanneld: Flanneld, subnet: string): Promise<string> =>
  eventually(`${subnet} is refused`, () => refusalOf(flanneld, subnet))

/** What upstream and heddle have in common of peers: the ways to their pods, and to their hosts. */
export async function peerPart(host: Host): Promise<string> {
  const lines = await host.sh(
    'ip route show; bridge fdb show dev flannel.1; ip neigh show dev flannel.1 nud permanent',
  )
  return lines.replaceAll(/ nhid \d+| proto \S+| metric \S+/g, '')
}

export const programmed = (host: Host, subnet: string): Promise<true> =>
  eventually(
    `there is a way to ${subnet}`,
    async () => (await peerPart(host)).includes(`${subnet} via`) || undefined,
  )
