// Leases as they are in the store, read by nobody's code but this file's.
import type { EtcdKeys } from '../support/etcd-keys.ts'
import type { Family } from './family.ts'

export interface Half {
  /** 10.244.7.0/24 */
  readonly subnet: string
  readonly publicIp: string
  /** Its holder may start with another one. */
  mac: string
}
export type Lease = Readonly<Partial<Record<Family, Half>>>

interface Value {
  readonly PublicIP: string
  readonly PublicIPv6: string | null
  readonly BackendData?: { readonly VtepMAC: string }
  readonly BackendV6Data?: { readonly VtepMAC: string }
}

/** By the IPv4 subnet. */
export function readLeases(store: EtcdKeys): Map<string, Lease> {
  return new Map(
    [...store.leases()].map(([key, text]) => {
      const value = JSON.parse(text) as Value
      const [v4 = '', v6] = (key.split('/').at(-1) ?? '')
        .split('&')
        .map((part) => part.replace(/-(\d+)$/, '/$1'))
      const lease: Lease = {
        ipv4: { subnet: v4, publicIp: value.PublicIP, mac: value.BackendData?.VtepMAC ?? 'none' },
        ...(v6 !== undefined && {
          ipv6: {
            subnet: v6,
            publicIp: value.PublicIPv6 ?? 'none',
            mac: value.BackendV6Data?.VtepMAC ?? 'none',
          },
        }),
      }
      return [v4, lease]
    }),
  )
}

/** A peer that nobody is, its devices new in each `life`: the last part of its key, and the value. */
export function madeUp(number: number, life: number): { key: string; value: string; lease: Lease } {
  const hex = number.toString(16)
  const octet = hex.padStart(2, '0')
  const ipv4: Half = {
    subnet: `10.244.${number}.0/24`,
    publicIp: `192.168.99.${number}`,
    mac: `02:00:00:0${life}:04:${octet}`,
  }
  const ipv6: Half = {
    subnet: `fd44:244:0:${hex}::/64`,
    publicIp: `fd00:99::${hex}`,
    mac: `02:00:00:0${life}:06:${octet}`,
  }
  const data = (mac: string) => ({ VNI: 1, VtepMAC: mac })
  return {
    key: [ipv4, ipv6].map(({ subnet }) => subnet.replace('/', '-')).join('&'),
    value: JSON.stringify({
      PublicIP: ipv4.publicIp,
      PublicIPv6: ipv6.publicIp,
      BackendType: 'vxlan',
      BackendData: data(ipv4.mac),
      BackendV6Data: data(ipv6.mac),
    }),
    lease: { ipv4, ipv6 },
  }
}
