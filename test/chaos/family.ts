// Of which families the pods of the lab are; and the devices and addresses of each on its segment.
export type Family = 'ipv4' | 'ipv6'

export const FAMILIES: readonly Family[] = ['ipv4', 'ipv6']

export const deviceOf = (family: Family): string => (family === 'ipv4' ? 'flannel.1' : 'flannel-v6.1')
/** `ip -4`, `ip -6`. */
export const flagOf = (family: Family): string => (family === 'ipv4' ? '-4' : '-6')

const UNDERLAY_IPV6 = 'fd00:100::'
export const STORE_IPV6 = `${UNDERLAY_IPV6}254`
export const underlayIpv6 = (number: number): string => `${UNDERLAY_IPV6}${number}`
