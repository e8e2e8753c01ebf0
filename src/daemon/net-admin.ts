// Whether this process may program the kernel.
import { readFileSync } from 'node:fs'

/** CAP_NET_ADMIN of linux/capability.h. */
const CAP_NET_ADMIN = 12n

/** Throws where it may not. */
export function requireNetAdmin(): void {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  if (((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 0n)
    throw new Error('this needs root or CAP_NET_ADMIN to program the kernel: run it as root')
}
