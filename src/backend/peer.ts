// One half of a peer's lease, checked: what every back end asks of it before it programs anything.
import { ipv4ToNumber, type IPv4 } from '../model/ip.ts'
import type { Json, Lease } from '../model/lease.ts'
import { overlaps, type Prefix } from '../model/prefix.ts'
import type { Self } from './backend.ts'

interface PeerHalf<I> {
  readonly subnet: Prefix
  /** Where the peer takes this half's traffic; never one of our own addresses. */
  readonly publicIp: I
  readonly data: Json | undefined
}

/** The IPv4 half of a peer that runs `type`; else a sentence that says why it can't be reached. */
export function ipv4Half(peer: Lease, self: Self, type: string): PeerHalf<IPv4> | string {
  if (peer.backendType !== type)
    return peer.backendType === ''
      ? `it publishes no back end type, ours is ${type}: every host of a network must run the same one`
      : `it runs the back end ${peer.backendType}, ours is ${type}: every host of a network must run the same one`
  const half = peer.ipv4
  if (half === undefined) return 'its lease has no IPv4 subnet'
  const publicIp = half.publicIp
  if (publicIp === undefined) return 'its lease has no IPv4 public address'
  if (!isUnicast(publicIp)) return `its public address ${publicIp} is no host's address`
  if (publicIp === self.publicIp || publicIp === self.ipv4)
    return `it claims our own address ${publicIp}: two hosts share it, or an old lease of this host is left; give each host its own address`
  const own = self.subnets.find((subnet) => overlaps(subnet, half.subnet))
  if (own !== undefined)
    return `its subnet ${half.subnet} overlaps ours, ${own}: remove the wrong lease from the store`
  return { subnet: half.subnet, publicIp, data: half.backendData }
}

/** Neither 0/8 nor loopback nor multicast and above. */
function isUnicast(ip: IPv4): boolean {
  const first = ipv4ToNumber(ip) >>> 24
  return first !== 0 && first !== 127 && first < 224
}
