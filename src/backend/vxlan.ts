// vxlan: one device a host; a neighbour, an FDB entry and a route a peer (flannel-compat 4.1). Pods of peers on the
// same segment may be routed directly.
import * as v from 'valibot'
import { bitsOf, type Family } from '../model/ip.ts'
import { address, fdbEntry, link, neighbour, nexthop, route, type KernelObject } from '../model/kernel.ts'
import type { Json } from '../model/lease.ts'
import { isMulticastMac, isZeroMac, parseMac, type Mac } from '../model/mac.ts'
import { baseOf, familyOfPrefix, isV4Prefix } from '../model/prefix.ts'
import { reachable, unreachable, type Backend, type Self } from './backend.ts'
import { flag, readOptions, wholeNumber } from './options.ts'
import { ipv4Half } from './peer.ts'

const TYPE = 'vxlan'
/** The Linux module's own default (udp_port), which upstream relies on. IANA's is 4789. */
const DEFAULT_PORT = 8472
/** Outer Ethernet, IP, UDP and VXLAN headers, RFC 7348 §5: 14 + 20 (40) + 8 + 8. */
const OVERHEAD_BYTES: Record<Family, number> = { ipv4: 50, ipv6: 70 }
/** Least MTU that IPv4 allows on a link (RFC 791), plus the overhead. */
const LEAST_OUTER_MTU_BYTES = 68 + OVERHEAD_BYTES.ipv6

export interface VxlanSettings {
  readonly vni: number
  readonly port: number
  /** Of the underlay; 0: the underlay interface's. */
  readonly mtuBytes: number
  readonly gbp: boolean
  readonly learning: boolean
  readonly directRouting: boolean
}

// MacPrefix and Name are for Windows hosts: ignored here, as upstream does.
const schema = v.pipe(
  v.object({
    vni: wholeNumber('VNI', 0, 0xff_ffff, 1),
    port: wholeNumber('Port', 0, 0xffff, 0),
    mtu: v.pipe(
      wholeNumber('MTU', 0, 0xffff, 0),
      v.check(
        (mtu) => mtu === 0 || mtu >= LEAST_OUTER_MTU_BYTES,
        (issue) =>
          `Backend.MTU must be at least ${LEAST_OUTER_MTU_BYTES}, or 0 for the interface's own, not ${issue.input}`,
      ),
    ),
    gbp: flag('GBP'),
    learning: flag('Learning'),
    directrouting: flag('DirectRouting'),
  }),
  v.transform((o): VxlanSettings => ({
    vni: o.vni,
    port: o.port === 0 ? DEFAULT_PORT : o.port,
    mtuBytes: o.mtu,
    gbp: o.gbp,
    learning: o.learning,
    directRouting: o.directrouting,
  })),
)

/** The device for one family's traffic. */
export const vxlanDevice = (settings: VxlanSettings, family: Family): string =>
  `${family === 'ipv4' ? 'flannel' : 'flannel-v6'}.${settings.vni}`

/** Never more than the underlay interface carries: the kernel would refuse it, or clip it silently. */
const innerMtuBytes = (self: Self, settings: VxlanSettings, underlay: Family): number =>
  Math.min(settings.mtuBytes === 0 ? self.mtuBytes : settings.mtuBytes, self.mtuBytes) -
  OVERHEAD_BYTES[underlay]

export const vxlan: Backend<VxlanSettings> = {
  type: TYPE,
  parse: (backend) => readOptions(schema, backend),

  refuses(self, settings) {
    const mtuBytes = innerMtuBytes(self, settings, 'ipv4')
    return mtuBytes >= LEAST_OUTER_MTU_BYTES - OVERHEAD_BYTES.ipv6
      ? undefined
      : `${self.link} has an MTU of ${self.mtuBytes} bytes, too small for VXLAN's ${OVERHEAD_BYTES.ipv4} bytes of headers`
  },

  podMtuBytes: innerMtuBytes,

  devices(self, settings) {
    const name = vxlanDevice(settings, 'ipv4')
    const device = link({
      name,
      mac: self.macOf(name),
      mtuBytes: innerMtuBytes(self, settings, 'ipv4'),
      vxlan: {
        vni: settings.vni,
        port: settings.port,
        local: self.ipv4,
        underlay: self.link,
        learning: settings.learning,
        gbp: settings.gbp,
      },
    })
    const addresses = self.subnets
      .filter(isV4Prefix)
      .map((subnet) => address({ link: name, ip: baseOf(subnet), length: bitsOf(familyOfPrefix(subnet)) }))
    return [device, ...addresses]
  },

  publish: (self, settings) => ({
    ipv4: { VNI: settings.vni, VtepMAC: self.macOf(vxlanDevice(settings, 'ipv4')) },
    ipv6: undefined,
  }),

  reach(peer, self, underlay, settings) {
    const half = ipv4Half(peer, self, TYPE)
    if (typeof half === 'string') return unreachable(half)
    const { subnet, publicIp } = half
    const device = vxlanDevice(settings, 'ipv4')
    const mac = vtepMacOf(half.data, settings.vni, self.macOf(device))
    if ('bad' in mac) return unreachable(mac.bad)
    if (settings.directRouting && underlay.isOnLink(publicIp, self.link))
      return reachable(route({ to: subnet, via: publicIp, link: self.link, onLink: false, through: 'plain' }))
    const via = baseOf(subnet)
    const objects: KernelObject[] = [
      neighbour({ link: device, ip: via, mac: mac.mac }),
      fdbEntry({ link: device, mac: mac.mac, dst: publicIp }),
    ]
    if (self.nexthopObjects) objects.push(nexthop({ via, link: device, onLink: true }))
    const through = self.nexthopObjects ? 'nexthop' : 'plain'
    objects.push(route({ to: subnet, via, link: device, onLink: true, through }))
    return reachable(...objects)
  },
}

/** The VTEP MAC in a peer's `{"VNI":1,"VtepMAC":"…"}`. Writers before v0.11 leave the VNI out: taken as ours. */
function vtepMacOf(data: Json | undefined, vni: number, own: Mac): { mac: Mac } | { bad: string } {
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    return { bad: 'its lease has no VXLAN data (VNI and VtepMAC)' }
  const field = new Map(Object.entries(data).map(([key, value]) => [key.toLowerCase(), value]))
  const theirs = field.get('vni') ?? vni
  if (theirs !== vni)
    return { bad: `its VNI is ${JSON.stringify(theirs)}, ours is ${vni}: every host must use the same one` }
  const text = field.get('vtepmac')
  const mac = typeof text === 'string' ? parseMac(text) : undefined
  if (mac === undefined) return { bad: `its VtepMAC ${JSON.stringify(text ?? null)} is not a MAC address` }
  if (isZeroMac(mac) || isMulticastMac(mac))
    return { bad: `its VtepMAC ${mac} is no single device's address` }
  if (mac === own)
    return {
      bad: `its VtepMAC ${mac} is our own: one of the two hosts is a copy of the other; delete the flannel device on one of them and restart flanneld there`,
    }
  return { mac }
}
