// What a running flanneld knows of the host behind an address: its lease, why it is refused, and what of it isn't in the
// kernel as it should be.
import type { Ip } from '../../model/ip.ts'
import { parseSubnetKey } from '../../model/lease.ts'
import { containsIp, parsePrefix, type Prefix } from '../../model/prefix.ts'
import type { DriftReport } from '../../status/drift/report.ts'
import { askDaemon } from '../daemon-client.ts'

export interface Wants {
  /** `10.5.3.0-24`; undefined where no lease has the address. */
  readonly lease: string | undefined
  readonly isOwn: boolean
  /** Of the lease, the subnet with the address. */
  readonly subnet?: Prefix
  readonly publicIp?: string
  readonly refused?: string
  /** What isn't as it should be: `missing route 10.5.3.0/24 …`. */
  readonly lacking: readonly string[]
}
/** Why nothing is known. */
export interface Silence {
  readonly why: string
  /** Whether one is there all the same. */
  readonly runs: boolean
}

/** What /status tells of a lease. */
interface Told {
  readonly key: string
  readonly subnet?: string
  readonly ipv6Subnet?: string
  readonly publicIp?: string
  readonly publicIpv6?: string
}
interface Status {
  readonly ready: boolean
  readonly phase: string
  readonly lease?: Told
  readonly peers?: readonly Told[]
  readonly refused?: Readonly<Record<string, string>>
}

/** Without what lacks: that takes a comparison with the kernel. */
export async function wantsOf(socket: string, to: Ip): Promise<Wants | Silence> {
  if (socket === '') return { why: "flanneld's options switch its status socket off", runs: false }
  const status = await askDaemon(socket, '/status')
  if (status.kind !== 'answer') return { why: status.why, runs: status.kind === 'refused' }
  const { ready, phase, lease: own, peers = [], refused = {} } = status.value as Status
  const subnetIn = ({ subnet, ipv6Subnet }: Told) =>
    [subnet, ipv6Subnet]
      .map((text) => parsePrefix(text ?? ''))
      .find((prefix) => prefix !== undefined && containsIp(prefix, to))
  const ownSubnet = own && subnetIn(own)
  if (own !== undefined && ownSubnet !== undefined)
    return { lease: own.key, isOwn: true, subnet: ownSubnet, lacking: [] }
  const peer = peers.find((each) => subnetIn(each) !== undefined)
  const key = peer?.key ?? Object.keys(refused).find((name) => subnetOf(name, to) !== undefined)
  if (key === undefined && !ready)
    return { why: `the flanneld at ${socket} does not know all leases yet (${phase})`, runs: true }
  if (key === undefined) return { lease: undefined, isOwn: false, lacking: [] }
  const publicIp = to.includes(':') ? (peer?.publicIpv6 ?? peer?.publicIp) : peer?.publicIp
  const subnet = peer === undefined ? subnetOf(key, to) : subnetIn(peer)
  const reason = refused[key]
  return {
    lease: key,
    isOwn: false,
    ...(subnet === undefined ? {} : { subnet }),
    ...(publicIp === undefined ? {} : { publicIp }),
    ...(reason === undefined ? {} : { refused: reason }),
    lacking: [],
  }
}

function subnetOf(key: string, to: Ip): Prefix | undefined {
  const { ipv4, ipv6 } = parseSubnetKey(key) ?? {}
  return [ipv4, ipv6].find((subnet) => subnet !== undefined && containsIp(subnet, to))
}

/** With what of the lease isn't in the kernel as it should be. */
export async function withLacking(socket: string, wants: Wants): Promise<Wants> {
  if (wants.lease === undefined || wants.isOwn) return wants
  const drift = await askDaemon(socket, '/drift')
  if (drift.kind !== 'answer') return wants
  const lacking = (drift.value as DriftReport).objects
    .filter(({ for: wanter }) => wanter === `lease ${wants.lease}`)
    .map(({ what, object, reason }) => `${what} ${object}${reason === undefined ? '' : `: ${reason}`}`)
  return { ...wants, lacking }
}
