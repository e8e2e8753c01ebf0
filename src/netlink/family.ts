// Address family numbers (linux/socket.h) as every rtnetlink header carries them.
import type { Family } from '../model/ip.ts'

export const AF = { unspec: 0, ipv4: 2, bridge: 7, ipv6: 10 } as const

/** The family of a header's first byte; undefined for those we have no business with. */
export const familyOfNumber = (number: number | undefined): Family | undefined =>
  number === AF.ipv4 ? 'ipv4' : number === AF.ipv6 ? 'ipv6' : undefined
