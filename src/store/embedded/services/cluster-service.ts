// What a cluster of one answers about itself: Cluster and Maintenance, as far as etcdctl and clients ask.
import {
  AlarmRequest_AlarmAction as AlarmAction,
  AlarmType,
  Cluster,
  Maintenance,
} from '../gen/etcdserverpb/rpc_pb.ts'
import type { Engine } from '../engine.ts'
import { refused, unary, type Route } from '../grpc/grpc-server.ts'
import type { Header } from '../file/identity.ts'
import { RpcError } from '../grpc/rpc-error.ts'

/** The protocol spoken, in the form clients parse, and behind the plus sign who speaks it. */
const VERSION = '3.5.0+heddle'

export function clusterRoutes(engine: Engine, clientUrls: readonly string[]): Route[] {
  const { identity, database, queue, revisions } = engine
  const { gate } = engine.auth
  const header = (): Header => identity.header(revisions.revision)
  const alarms = (): { memberID: bigint; alarm: AlarmType }[] =>
    queue.outOfSpace ? [{ memberID: identity.memberId, alarm: AlarmType.NOSPACE }] : []
  return [
    unary(Cluster.method.memberList, (_, { caller }) => {
      gate.requireUser(caller)
      return {
        header: header(),
        members: [{ ID: identity.memberId, name: 'heddle', clientURLs: [...clientUrls] }],
      }
    }),
    unary(Maintenance.method.status, (_, { caller }) => {
      gate.requireUser(caller)
      const { totalBytes, usedBytes } = database.sizes()
      return {
        header: header(),
        version: VERSION,
        dbSize: totalBytes,
        dbSizeInUse: usedBytes,
        leader: identity.memberId,
        // There is no raft: every change is one entry of a log that nobody has to agree to.
        raftIndex: revisions.revision,
        raftAppliedIndex: revisions.revision,
        raftTerm: identity.raftTerm,
        errors: queue.outOfSpace ? [`memberID:${identity.memberId} alarm:NOSPACE `] : [],
      }
    }),
    unary(Maintenance.method.alarm, ({ action }, { caller }) => {
      if (action === AlarmAction.GET) gate.requireUser(caller)
      else gate.requireAdmin(caller)
      if (action === AlarmAction.ACTIVATE) {
        throw new RpcError(
          'unimplemented',
          'this store raises its alarms itself: NOSPACE while its disk is full',
        )
      }
      return { header: header(), alarms: alarms() }
    }),
    unary(Maintenance.method.defragment, (_, { caller }) => {
      gate.requireAdmin(caller)
      database.defragment()
      return { header: header() }
    }),
    refused(
      'etcdserverpb.Maintenance/Snapshot',
      "this store has no snapshots in etcd's format: run `heddle store backup FILE` on its machine",
    ),
    ...['Hash', 'HashKV'].map((name) =>
      refused(`etcdserverpb.Maintenance/${name}`, 'this store has no other members whose hash could differ'),
    ),
  ]
}
