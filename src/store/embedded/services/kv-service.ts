// etcd's KV service: Range, Put, DeleteRange, Txn, Compact.
import type { MessageShape } from '@bufbuild/protobuf'
import { KV, type ResponseHeaderSchema } from '../gen/etcdserverpb/rpc_pb.ts'
import type { ChangeSet } from '../keys/change-set.ts'
import { checkDeleteRange, checkPut, checkRange, checkTxn } from '../keys/check.ts'
import type { Engine } from '../engine.ts'
import { unary, type Route } from '../grpc/grpc-server.ts'
import { answerRange } from '../keys/range.ts'
import { refusal } from '../grpc/rpc-error.ts'
import { applyDeleteRange, applyPut, applyTxn, isReadOnly, type WriteContext } from '../keys/txn.ts'

/** etcd's default for --max-request-bytes. */
const MAX_WRITE_BYTES = 1536 * 1024

type Answer = { header?: MessageShape<typeof ResponseHeaderSchema> | undefined }

export function kvRoutes(engine: Engine): Route[] {
  const { queue, revisions, identity, leases } = engine
  const { gate, requests } = engine.auth
  const signed = <T extends Answer>(answer: T): T => {
    if (answer.header !== undefined) Object.assign(answer.header, identity.header(answer.header.revision))
    return answer
  }
  const write = async <T extends Answer>(apply: (context: WriteContext) => T): Promise<T> =>
    signed(
      await queue.submit((changes: ChangeSet) =>
        apply({ revisions, changes, leaseExists: (id) => leases.exists(id) }),
      ),
    )
  return [
    unary(KV.method.range, (request, { caller }) => {
      checkRange(request)
      requests.range(caller, request)
      return signed(answerRange(revisions, request))
    }),
    unary(KV.method.put, (request, { caller, requestBytes }) => {
      checkPut(request)
      checkSize(requestBytes)
      return write((context) => {
        requests.put(caller, request)
        return applyPut(context, request)
      })
    }),
    unary(KV.method.deleteRange, (request, { caller, requestBytes }) => {
      checkDeleteRange(request)
      checkSize(requestBytes)
      return write((context) => {
        requests.deleteRange(caller, request)
        return applyDeleteRange(context, request)
      })
    }),
    unary(KV.method.txn, (request, { caller, requestBytes }) => {
      checkTxn(request)
      if (!isReadOnly(request)) checkSize(requestBytes)
      return write((context) => {
        requests.txn(caller, request)
        return applyTxn(context, request)
      })
    }),
    unary(KV.method.compact, async ({ revision, physical }, { caller }) => {
      gate.requireAdmin(caller)
      await engine.compaction.compact(revision, physical)
      return { header: identity.header(revisions.revision) }
    }),
  ]
}

function checkSize(bytes: number): void {
  if (bytes > MAX_WRITE_BYTES) throw refusal('requestTooLarge')
}
