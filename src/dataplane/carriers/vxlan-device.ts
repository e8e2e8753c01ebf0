// VXLAN devices as the kernel reports them: as the model has them, and in words. Pure.
import { type Ip, isIPv4, type IPv4, type IPv6 } from '../../model/ip.ts'
import { type Link, link } from '../../model/kernel.ts'
import type { LinkInfo } from '../../netlink/link.ts'
import type { VxlanAttributes } from '../../netlink/vxlan.ts'

const ANY = '0.0.0.0' as IPv4
const ANY6 = '::' as IPv6

/** What a device has unless told otherwise, and may have again in place (tried on Linux 6.18). */
export const usual = (over: Ip): Partial<VxlanAttributes> => ({
  group: isIPv4(over) ? ANY : ANY6,
  ttl: 0,
  tos: 0,
  ageingSeconds: 300,
})

/** What is not `usual`, in words. */
export const unusual = (vxlan: VxlanAttributes): string[] =>
  [
    vxlan.group === undefined ? '' : `remote ${vxlan.group}`,
    vxlan.ttl === 0 ? '' : `ttl ${vxlan.ttl}`,
    vxlan.tos === 0 ? '' : `tos ${vxlan.tos}`,
    vxlan.ageingSeconds === usual(ANY).ageingSeconds ? '' : `ageing ${vxlan.ageingSeconds}`,
  ].filter((text) => text !== '')

/** Undefined for what is no VXLAN device. */
export function linkOf(
  { name, type, vxlan, mac, mtuBytes, up, master }: LinkInfo,
  nameOf: (index: number | undefined) => string | undefined,
): Link | undefined {
  if (type !== 'vxlan' || vxlan === undefined || mac === undefined) return undefined
  const odd = [
    vxlan.limit === undefined || vxlan.limit === 0 ? '' : `maxaddress ${vxlan.limit}`,
    vxlan.proxy === true ? 'proxy' : '',
    vxlan.rsc === true ? 'rsc' : '',
    vxlan.l2miss === true ? 'l2miss' : '',
    vxlan.l3miss === true ? 'l3miss' : '',
  ].filter((text) => text !== '')
  // A bridge takes all that comes in by its ports, a VRF looks their packets up in a table of its own.
  const joined = master === undefined ? [] : [`master ${nameOf(master) ?? master}`]
  const altered = [...unusual(vxlan), ...joined]
  const found = link({
    name,
    mac,
    mtuBytes,
    vxlan: {
      vni: vxlan.vni,
      port: vxlan.port ?? 0,
      local: vxlan.local ?? ANY,
      underlay: nameOf(vxlan.link) ?? '',
      learning: vxlan.learning === true,
      gbp: vxlan.gbp === true,
    },
  })
  return {
    ...found,
    up,
    ...(odd.length === 0 ? {} : { unrecognised: odd.join(', ') }),
    ...(altered.length === 0 ? {} : { altered: altered.join(', ') }),
  }
}

export const describe = ({
  mac,
  mtuBytes,
  up,
  vxlan,
  checksumOffload,
  unrecognised,
  altered,
}: Link): string =>
  [
    up ? 'up' : 'down',
    `MAC ${mac}`,
    `MTU ${mtuBytes}`,
    `VNI ${vxlan.vni}`,
    `port ${vxlan.port}`,
    `local ${vxlan.local}`,
    `on ${vxlan.underlay}`,
    vxlan.learning ? 'learning' : 'nolearning',
    vxlan.gbp ? 'gbp' : '',
    isIPv4(vxlan.local) ? '' : 'over IPv6',
    checksumOffload === undefined ? '' : `tx-checksumming ${checksumOffload ? 'on' : 'off'}`,
    unrecognised ?? '',
    altered ?? '',
  ]
    .filter((text) => text !== '')
    .join(', ')

/** A tunnel is kept where it was made, wherever its device has been moved (tried on Linux 6.18). */
export const elsewhere = ({ name, vxlan: { vni, port } }: Link): string =>
  `${name} can't be made: VNI ${vni}, port ${port} is in use by a device that was made in this network namespace and has been moved to another one, perhaps ${name} itself; delete it there (ip netns list; ip -n NAMESPACE link del ${name}), it is then made anew here`
