// What a cluster of one answers about itself: Cluster, Maintenance and Auth, as far as etcdctl and clients ask.
import {
  AlarmRequest_AlarmAction as AlarmAction,
  AlarmType,
  Auth,
  Cluster,
  Maintenance,
} from '../gen/etcdserverpb/rpc_pb.ts'
import type { Engine } from '../engine.ts'
import { unary, type Route } from '../grpc/grpc-server.ts'
import type { Header } from '../file/identity.ts'
import { refusal, RpcError } from '../grpc/rpc-error.ts'

/** The protocol spoken, in the form clients parse, and behind the plus sign who speaks it. */
const VERSION = '3.5.0+heddle'

export function clusterRoutes(engine: Engine, clientUrls: readonly string[]): Route[] {
  const { identity, database, queue, revisions } = engine
  const header = (): Header => identity.header(revisions.revision)
  const alarms = (): { memberID: bigint; alarm: AlarmType }[] =>
    queue.outOfSpace ? [{ memberID: identity.memberId, alarm: AlarmType.NOSPACE }] : []
  return [
    unary(Cluster.method.memberList, () => ({
      header: header(),
      members: [{ ID: identity.memberId, name: 'heddle', clientURLs: [...clientUrls] }],
    })),
    unary(Maintenance.method.status, () => {
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
    unary(Maintenance.method.alarm, ({ action }) => {
      if (action === AlarmAction.ACTIVATE) {
        throw new RpcError(
          'unimplemented',
          'this store raises its alarms itself: NOSPACE while its disk is full',
        )
      }
      return { header: header(), alarms: alarms() }
    }),
    unary(Maintenance.method.defragment, () => {
      database.defragment()
      return { header: header() }
    }),
    unary(Auth.method.authStatus, () => ({ header: header(), enabled: false, authRevision: 1n })),
    unary(Auth.method.authenticate, () => {
      throw refusal('authNotEnabled')
    }),
  ]
}
