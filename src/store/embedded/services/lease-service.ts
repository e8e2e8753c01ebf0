// etcd's Lease service: grant, revoke, keep-alive, time-to-live, list.
import { Lease } from '../gen/etcdserverpb/rpc_pb.ts'
import type { Engine } from '../engine.ts'
import { duplex, unary, type Route } from '../grpc/grpc-server.ts'
import type { Header } from '../file/identity.ts'

/** TimeToLive's answer for a lease that isn't there. */
const NO_TTL = -1n

export function leaseRoutes(engine: Engine): Route[] {
  const { leases } = engine
  const header = (): Header => engine.identity.header(engine.revisions.revision)
  return [
    unary(Lease.method.leaseGrant, async ({ ID, TTL }) => {
      const lease = await leases.grant(ID, TTL)
      return { header: header(), ID: lease.id, TTL: lease.ttlSeconds }
    }),
    unary(Lease.method.leaseRevoke, async ({ ID }) => {
      await leases.revoke(ID)
      return { header: header() }
    }),
    unary(Lease.method.leaseTimeToLive, ({ ID, keys }) => {
      const found = leases.look(ID)
      if (found === undefined) return { header: header(), ID, TTL: NO_TTL }
      return {
        header: header(),
        ID,
        TTL: found.remainingSeconds,
        grantedTTL: found.ttlSeconds,
        keys: keys ? leases.keys(ID) : [],
      }
    }),
    unary(Lease.method.leaseLeases, () => ({ header: header(), leases: leases.ids().map((ID) => ({ ID })) })),
    duplex(Lease.method.leaseKeepAlive, (call) => ({
      // A time of 0 tells that the lease is gone.
      message: ({ ID }) => call.send({ header: header(), ID, TTL: leases.renew(ID) ?? 0n }),
      ended: () => call.end(),
      writable: () => undefined,
      closed: () => undefined,
    })),
  ]
}
