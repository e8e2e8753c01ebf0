// etcd's Lease service: grant, revoke, keep-alive, time-to-live, list.
import { Lease } from '../gen/etcdserverpb/rpc_pb.ts'
import type { Engine } from '../engine.ts'
import { duplex, unary, type Route } from '../grpc/grpc-server.ts'
import type { Header } from '../file/identity.ts'

/** TimeToLive's answer for a lease that isn't there. */
const NO_TTL = -1n

export function leaseRoutes(engine: Engine): Route[] {
  const { leases } = engine
  const { gate, requests } = engine.auth
  const allKeys = function* (ids: readonly bigint[]): Generator<Uint8Array> {
    for (const id of ids) yield* leases.keys(id)
  }
  const header = (): Header => engine.identity.header(engine.revisions.revision)
  return [
    unary(Lease.method.leaseGrant, async ({ ID, TTL }, { caller }) => {
      gate.requireUser(caller)
      const lease = await leases.grant(ID, TTL)
      return { header: header(), ID: lease.id, TTL: lease.ttlSeconds }
    }),
    unary(Lease.method.leaseRevoke, async ({ ID }, { caller }) => {
      gate.requireUser(caller)
      await leases.revoke(ID, () => requests.lease(caller, ID))
      return { header: header() }
    }),
    unary(Lease.method.leaseTimeToLive, ({ ID, keys }, { caller }) => {
      gate.requireUser(caller)
      if (keys) gate.requireKeys(caller, leases.keys(ID), 'read')
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
    unary(Lease.method.leaseLeases, (_, { caller }) => {
      const ids = leases.ids()
      gate.requireKeys(caller, allKeys(ids), 'read')
      return { header: header(), leases: ids.map((ID) => ({ ID })) }
    }),
    duplex(Lease.method.leaseKeepAlive, (call, caller) => ({
      message: ({ ID }) => {
        requests.lease(caller, ID)
        // A time of 0 tells that the lease is gone.
        call.send({ header: header(), ID, TTL: leases.renew(ID) ?? 0n })
      },
      ended: () => call.end(),
      writable: () => undefined,
      closed: () => undefined,
    })),
  ]
}
