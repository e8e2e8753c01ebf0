// The families of the lab, and heddle's device for each.
export type Family = 'ipv4' | 'ipv6'

export const FAMILIES: readonly Family[] = ['ipv4', 'ipv6']

export const deviceOf = (family: Family): string => (family === 'ipv4' ? 'flannel.1' : 'flannel-v6.1')
/** `ip -4`, `ip -6`. */
export const flagOf = (family: Family): string => (family === 'ipv4' ? '-4' : '-6')
