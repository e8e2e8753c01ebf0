// Leases and events of a store, in few words, for tests of who becomes a peer.
import { expect } from 'bun:test'
import { parseLease, type Lease, type SubnetKey } from '../../src/model/lease.ts'
import { parseNetworkConfig } from '../../src/model/net-config.ts'
import type { Family } from '../../src/model/ip.ts'
import type { Graces } from '../../src/store/graces.ts'
import { LeaseTable, type LeaseChange } from '../../src/store/lease-table.ts'
import type { LeaseEvent } from '../../src/store/store.ts'

export const GRACE_MS = 600_000
/** Deletions act at once. */
export const AT_ONCE: Graces = { deletedMs: 0, missedMs: 0, resetMs: GRACE_MS }
export const PATIENT: Graces = { deletedMs: 1_000, missedMs: 15_000, resetMs: GRACE_MS }
export const config = parseNetworkConfig('{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan"}}')
export const dual = parseNetworkConfig(
  '{"Network":"10.3.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:3::/48"}',
)

export interface Published {
  readonly ipv6?: string | null
  readonly mac?: string
  readonly mac6?: string
}

/** A VXLAN lease as upstream writes it. */
export function lease(key: string, publicIp: string, createRevision = 1, more: Published = {}): Lease {
  const data = (mac: string | undefined) => ({ VNI: 1, ...(mac !== undefined && { VtepMAC: mac }) })
  const value = {
    PublicIP: publicIp,
    PublicIPv6: more.ipv6 ?? null,
    BackendType: 'vxlan',
    BackendData: data(more.mac),
    ...(more.mac6 !== undefined && { BackendV6Data: data(more.mac6) }),
  }
  const parsed = parseLease(key, JSON.stringify(value), BigInt(createRevision))
  return typeof parsed === 'string' ? expect.unreachable(parsed) : parsed
}

export const own = lease('10.3.1.0-24', '192.168.0.1')
export const a = lease('10.3.2.0-24', '192.168.0.2', 2)
export const b = lease('10.3.3.0-24', '192.168.0.3', 3)
export const key = (text: string) => text as SubnetKey

export const snapshot = (history: string, ...leases: Lease[]): LeaseEvent => ({
  kind: 'snapshot',
  history,
  leases,
  rejected: [],
})
export const put = (lease: Lease): LeaseEvent => ({ kind: 'put', lease })
export const gone = (text: string): LeaseEvent => ({ kind: 'delete', subnet: key(text) })
export const missed = (text: string): LeaseEvent => ({ kind: 'delete', subnet: key(text), missed: true })

/** Changes in brief, sorted. */
export const told = (changes: readonly LeaseChange[]): string[] =>
  changes.map((c) => (c.kind === 'put' ? `+${c.lease.key}` : `-${c.key}`)).sort()

/** As the vxlan back end has it. */
export function uniqueOf(of: Lease, family: Family): string | undefined {
  const data = of[family]?.backendData
  const mac = typeof data === 'object' && data !== null && 'VtepMAC' in data ? data.VtepMAC : undefined
  return typeof mac === 'string' ? `VtepMAC ${mac}` : undefined
}

export function tableWith(graces: Graces, ...leases: Lease[]): LeaseTable {
  const table = new LeaseTable(config, own, graces, uniqueOf)
  table.apply(snapshot('a', ...leases), 0)
  return table
}
export const table = (...leases: Lease[]): LeaseTable => tableWith(AT_ONCE, ...leases)
