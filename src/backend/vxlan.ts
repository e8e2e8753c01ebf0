// vxlan: of each family one device a host; a neighbour, an FDB entry and a route a peer (flannel-compat 4.1). Pods of
// peers on the same segment may be routed directly.
import * as v from 'valibot'
import { bitsOf, FAMILIES, type Family } from '../model/ip.ts'
import { address, link, neighbour } from '../model/kernel.ts'
import type { Json } from '../model/lease.ts'
import { isMulticastMac, isZeroMac, parseMac, type Mac } from '../model/mac.ts'
import { baseOf, familyOfPrefix } from '../model/prefix.ts'
import { VXLAN_OVERHEAD_BYTES } from '../model/vxlan.ts'
import type { Backend, Self } from './backend.ts'
import { directRoute, tunnelRoute } from './hops.ts'
import { flag, readOptions, wholeNumber } from './options.ts'
import { familiesOf, NAME, reachEachFamily } from './peer.ts'

const TYPE = 'vxlan'
/** The Linux module's own default (udp_port), which upstream relies on. IANA's is 4789. */
const DEFAULT_PORT = 8472
/** Least MTU of a link: RFC 791, RFC 8200 §5. Below the latter the kernel takes IPv6 off the device. */
const LEAST_MTU_BYTES: Record<Family, number> = { ipv4: 68, ipv6: 1280 }
const LEAST_OUTER_MTU_BYTES = LEAST_MTU_BYTES.ipv4 + VXLAN_OVERHEAD_BYTES.ipv6

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
const outerMtuBytes = (self: Self, { mtuBytes }: VxlanSettings): number =>
  mtuBytes === 0 ? self.mtuBytes : Math.min(mtuBytes, self.mtuBytes)
/** Each family is carried by its own: IPv6 in IPv6. */
const innerMtuBytes = (self: Self, settings: VxlanSettings, family: Family): number =>
  outerMtuBytes(self, settings) - VXLAN_OVERHEAD_BYTES[family]

export const vxlan: Backend<VxlanSettings> = {
  type: TYPE,
  parse: (backend) => readOptions(schema, backend),

  refuses(self, settings) {
    for (const family of familiesOf(self)) {
      const outer = outerMtuBytes(self, settings)
      const [overhead, least] = [VXLAN_OVERHEAD_BYTES[family], LEAST_MTU_BYTES[family]]
      if (outer - overhead < least)
        return `an MTU of ${outer} bytes (${self.link} has ${self.mtuBytes}) is too small for ${NAME[family]}: it needs ${least} bytes, and VXLAN's headers ${overhead}; enlarge it, or switch off Enable${NAME[family]}`
    }
    return undefined
  },

  podMtuBytes: (self, settings) =>
    Math.min(...familiesOf(self).map((family) => innerMtuBytes(self, settings, family))),

  // A configured MTU is what its host's owner knows better.
  asksPaths: ({ mtuBytes }) => mtuBytes === 0,

  /** Both have the same VNI and port: the kernel tells them apart by the family of `local`. */
  devices: (self, settings) =>
    FAMILIES.flatMap((family) => {
      const own = self[family]
      if (own === undefined) return []
      const name = vxlanDevice(settings, family)
      const device = link({
        name,
        mac: self.macOf(name),
        mtuBytes: innerMtuBytes(self, settings, family),
        vxlan: {
          vni: settings.vni,
          port: settings.port,
          local: own.address,
          underlay: self.link,
          learning: settings.learning,
          gbp: settings.gbp,
        },
      })
      const addresses = self.subnets
        .filter((subnet) => familyOfPrefix(subnet) === family)
        .map((subnet) => address({ link: name, ip: baseOf(subnet), length: bitsOf(family) }))
      return [device, ...addresses]
    }),

  publish(self, settings) {
    const data = (family: Family): Json | undefined =>
      self[family] && { VNI: settings.vni, VtepMAC: self.macOf(vxlanDevice(settings, family)) }
    return { ipv4: data('ipv4'), ipv6: data('ipv6') }
  },

  unique(data, { vni }) {
    const mac = vtepMacOf(data, vni)
    return 'bad' in mac ? undefined : `VtepMAC ${mac.mac}`
  },

  reach: (peer, self, underlay, settings) =>
    reachEachFamily(peer, self, TYPE, ({ family, subnet, publicIp, data }) => {
      const device = vxlanDevice(settings, family)
      const mac = vtepMacOf(data, settings.vni)
      if ('bad' in mac) return mac.bad
      if (mac.mac === self.macOf(device))
        return `its VtepMAC ${mac.mac} is our own: one of the two hosts is a copy of the other; delete the flannel device on one of them and restart flanneld there`
      if (settings.directRouting && underlay.isOnLink(publicIp, self.link))
        return directRoute(subnet, { via: publicIp, link: self.link }, self.nexthopUse)
      const via = baseOf(subnet)
      return [
        neighbour({ link: device, ip: via, mac: mac.mac }),
        { kind: 'fdb', link: device, mac: mac.mac, dst: publicIp },
        ...tunnelRoute(subnet, { via, link: device }, self.nexthopUse, underlay.tunnelMtuBytes?.(subnet)),
      ]
    }),
}

/**
 * The VTEP MAC in a peer's `{"VNI":1,"VtepMAC":"…"}`. Writers before v0.11 leave the VNI out: taken as ours. The port is in
 * nobody's lease, so one that differs can't be told.
 */
function vtepMacOf(data: Json | undefined, vni: number): { mac: Mac } | { bad: string } {
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    return { bad: 'its lease has no VXLAN data (VNI and VtepMAC)' }
  let theirs: Json = vni
  let text: Json | undefined
  // Names match whatever their case, and the last counts, as in Go.
  for (const [name, value] of Object.entries(data))
    switch (name.toLowerCase()) {
      case 'vni':
        theirs = value ?? vni
        break
      case 'vtepmac':
        text = value
    }
  if (theirs !== vni)
    return { bad: `its VNI is ${JSON.stringify(theirs)}, ours is ${vni}: every host must use the same one` }
  const mac = typeof text === 'string' ? parseMac(text) : undefined
  if (mac === undefined) return { bad: `its VtepMAC ${JSON.stringify(text ?? null)} is not a MAC address` }
  if (isZeroMac(mac) || isMulticastMac(mac))
    return { bad: `its VtepMAC ${mac} is no single device's address` }
  return { mac }
}
