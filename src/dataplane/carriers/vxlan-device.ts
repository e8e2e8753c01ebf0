// VXLAN devices as the kernel reports them: as the model has them, and in words. Pure.
import { isIPv4, type IPv4 } from '../../model/ip.ts'
import { type Link, link } from '../../model/kernel.ts'
import type { LinkInfo } from '../../netlink/link.ts'

const ANY = '0.0.0.0' as IPv4

/** Undefined for what is no VXLAN device. */
export function linkOf(
  { name, type, vxlan, mac, mtuBytes, up }: LinkInfo,
  nameOf: (index: number | undefined) => string | undefined,
): Link | undefined {
  if (type !== 'vxlan' || vxlan === undefined || mac === undefined) return undefined
  const odd = [
    vxlan.group === undefined ? '' : `remote ${vxlan.group}`,
    vxlan.proxy === true ? 'proxy' : '',
    vxlan.rsc === true ? 'rsc' : '',
    vxlan.l2miss === true ? 'l2miss' : '',
    vxlan.l3miss === true ? 'l3miss' : '',
  ].filter((text) => text !== '')
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
  return { ...found, up, ...(odd.length === 0 ? {} : { unrecognised: odd.join(', ') }) }
}

export const describe = ({ mac, mtuBytes, up, vxlan, unrecognised }: Link): string =>
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
    unrecognised ?? '',
  ]
    .filter((text) => text !== '')
    .join(', ')
