// Ethernet MAC addresses as branded canonical text: lower case, colons. Pure.

declare const mac: unique symbol
export type Mac = string & { readonly [mac]: true }

const CANONICAL = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/

/** Accepts `aa:bb:…`, `AA-BB-…` and `aabb.ccdd.eeff`, as Go's net.ParseMAC does for 48-bit addresses. */
export function parseMac(text: string): Mac | undefined {
  // As flannel writes it.
  if (CANONICAL.test(text)) return text as Mac
  const hex =
    /^(?:[0-9a-f]{2}(?::[0-9a-f]{2}){5}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2})$/i.test(
      text,
    )
      ? text.replace(/[:.-]/g, '').toLowerCase()
      : undefined
  return hex === undefined ? undefined : (hex.replace(/(..)(?!$)/g, '$1:') as Mac)
}

export function macFromBytes(bytes: Uint8Array): Mac {
  if (bytes.length !== 6) throw new RangeError(`a MAC address has 6 bytes, not ${bytes.length}`)
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(':') as Mac
}

/** Group (multicast or broadcast) addresses can't be a VTEP's. */
export const isMulticastMac = (m: Mac): boolean => (parseInt(m.slice(0, 2), 16) & 1) === 1
export const isZeroMac = (m: Mac): boolean => m === '00:00:00:00:00:00'

/** A locally administered unicast MAC from the first 6 of `bytes` (a hash or random). */
export function localMac(bytes: Uint8Array): Mac {
  const own = Uint8Array.from(bytes.subarray(0, 6))
  own[0] = ((own[0] ?? 0) & 0xfe) | 0x02
  return macFromBytes(own)
}
