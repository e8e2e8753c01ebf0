// Peers for the benches: leases of hosts that don't exist, each with its own subnet, address and VTEP MAC.
import { leaseKey, vxlanLease, type TestStore } from '../test/support/stores.ts'

/** All peers' public addresses are in it. */
export const UNDERLAY = '172.16.0.0/16'
/** Holds 32,640 subnets of 256 addresses; the peers have the lower half, hosts of a bench lease from the upper one. */
export const NETWORK = '10.0.0.0/9'
export const HOSTS_FROM = '10.64.0.0'

export interface Peer {
  readonly subnet: string
  /** The subnet's first address, the peer's VTEP on the inside. */
  readonly base: string
  readonly publicIp: string
  readonly mac: string
}

export const peers = (count: number): readonly Peer[] =>
  Array.from({ length: count }, (_, index) => {
    const number = index + 1
    const base = `10.${number >> 8}.${number & 255}.0`
    const hex = (byte: number) => (byte & 255).toString(16).padStart(2, '0')
    return {
      subnet: `${base}/24`,
      base,
      publicIp: `172.16.${number >> 8}.${number & 255}`,
      mac: `02:42:00:00:${hex(number >> 8)}:${hex(number)}`,
    }
  })

/** The VTEP MAC that a lease tells after its host's `change`-th change, counted over all hosts. */
export const macAfter = (change: number): string =>
  `02:43:${[24, 16, 8, 0].map((bits) => ((change >>> bits) & 255).toString(16).padStart(2, '0')).join(':')}`

/** etcd takes at most 128 operations in one transaction. */
const AT_ONCE = 128

/** Back ends that the peers may have. */
export type PeerType = 'vxlan' | 'host-gw'

/** Puts the peers' leases into the store as their hosts would have, living for a day. */
export function putLeases(store: TestStore, list: readonly Peer[], type: PeerType = 'vxlan'): void {
  const granted = /lease ([0-9a-f]+) granted/.exec(store.etcdctl('lease', 'grant', '86400'))?.[1]
  if (granted === undefined) throw new Error('the store granted no lease')
  for (let from = 0; from < list.length; from += AT_ONCE) {
    const puts = list
      .slice(from, from + AT_ONCE)
      .map(
        ({ subnet, publicIp, mac }) =>
          `put --lease=${granted} ${leaseKey(subnet)} ${JSON.stringify(type === 'vxlan' ? vxlanLease(publicIp, mac) : hostGwLease(publicIp))}`,
      )
    const answer = store.etcdctlWith(`\n${puts.join('\n')}\n\n\n`, 'txn')
    if (!answer.startsWith('SUCCESS')) throw new Error(`the store did not take the leases: ${answer}`)
  }
}

const hostGwLease = (publicIp: string): string =>
  JSON.stringify({ PublicIP: publicIp, PublicIPv6: null, BackendType: 'host-gw' })

/** Waits `seconds` while timers and sockets of this process go on. */
export const pause = (seconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, seconds * 1000))
