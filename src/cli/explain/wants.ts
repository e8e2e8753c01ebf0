// What a running flanneld knows of the host behind an address: its lease, why it is refused, and what of it isn't in the
// kernel as it should be.
import type { Ip } from '../../model/ip.ts'
import { parseSubnetKey } from '../../model/lease.ts'
import { containsIp, parsePrefix } from '../../model/prefix.ts'
import type { DriftReport } from '../../status/drift/report.ts'
import { askDaemon } from '../daemon-client.ts'

export interface Wants {
  /** `10.5.3.0-24`; undefined where no lease has the address. */
  readonly lease: string | undefined
  readonly isOwn: boolean
  readonly publicIp?: string
  readonly refused?: string
  /** What isn't as it should be: `missing route 10.5.3.0/24 …`. */
  readonly lacking: readonly string[]
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
  readonly lease?: Told
  readonly peers?: readonly Told[]
  readonly refused?: Readonly<Record<string, string>>
}

/** A sentence where none can be asked. `isBroken`: then what lacks of it is asked for, too. */
export async function wantsOf(socket: string, to: Ip, isBroken: boolean): Promise<Wants | string> {
  if (socket === '') return "flanneld's options switch its status socket off"
  const status = await askDaemon(socket, '/status')
  if (status.kind !== 'answer') return status.why
  const { lease: own, peers = [], refused = {} } = status.value as Status
  const isHis = ({ subnet, ipv6Subnet }: Told) =>
    [subnet, ipv6Subnet].some((text) => {
      const prefix = parsePrefix(text ?? '')
      return prefix !== undefined && containsIp(prefix, to)
    })
  if (own !== undefined && isHis(own)) return { lease: own.key, isOwn: true, lacking: [] }
  const peer = peers.find(isHis)
  const key = peer?.key ?? Object.keys(refused).find((name) => isIn(name, to))
  if (key === undefined) return { lease: undefined, isOwn: false, lacking: [] }
  const publicIp = to.includes(':') ? (peer?.publicIpv6 ?? peer?.publicIp) : peer?.publicIp
  const reason = refused[key]
  return {
    lease: key,
    isOwn: false,
    ...(publicIp === undefined ? {} : { publicIp }),
    ...(reason === undefined ? {} : { refused: reason }),
    lacking: isBroken ? await lackingOf(socket, `lease ${key}`) : [],
  }
}

function isIn(key: string, to: Ip): boolean {
  const { ipv4, ipv6 } = parseSubnetKey(key) ?? {}
  return [ipv4, ipv6].some((subnet) => subnet !== undefined && containsIp(subnet, to))
}

async function lackingOf(socket: string, source: string): Promise<string[]> {
  const drift = await askDaemon(socket, '/drift')
  if (drift.kind !== 'answer') return []
  return (drift.value as DriftReport).objects
    .filter(({ for: wanter }) => wanter === source)
    .map(({ what, object, reason }) => `${what} ${object}${reason === undefined ? '' : `: ${reason}`}`)
}
