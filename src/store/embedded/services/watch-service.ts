// etcd's Watch service.
import { Watch } from '../gen/etcdserverpb/rpc_pb.ts'
import type { Engine } from '../engine.ts'
import { duplex, type Route } from '../grpc/grpc-server.ts'
import { WatchStream } from '../watch/watch-stream.ts'

export function watchRoutes(engine: Engine, progressIntervalMs: number): Route[] {
  const { hub, revisions, identity } = engine
  return [
    duplex(
      Watch.method.watch,
      (call, caller) =>
        new WatchStream(call, {
          hub,
          revisions,
          identity,
          progressIntervalMs,
          permit: (range) => engine.auth.gate.requireRange(caller, range, 'read'),
        }),
    ),
  ]
}
