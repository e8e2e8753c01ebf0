// What a VXLAN packet takes besides the packet that it carries. Pure.
import type { Family } from './ip.ts'

/** By the outer family: Ethernet, IP, UDP and VXLAN headers, RFC 7348 §5: 14 + 20 (40) + 8 + 8. */
export const VXLAN_OVERHEAD_BYTES: Readonly<Record<Family, number>> = { ipv4: 50, ipv6: 70 }
