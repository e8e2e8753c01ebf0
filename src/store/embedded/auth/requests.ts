// What a request to the key space needs, looked at whole before any of it is done (etcd server/etcdserver/apply/apply_auth.go).
import type {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '../gen/etcdserverpb/rpc_pb.ts'
import type { Caller } from '../grpc/caller.ts'
import { keyRange } from '../keys/key-range.ts'
import type { Gate } from './gate.ts'

const EMPTY = new Uint8Array(0)

export class RequestGate {
  readonly #gate: Gate
  readonly #keysOf: (lease: bigint) => Iterable<Uint8Array>

  /** `keysOf` tells the keys of a lease; none for one that isn't there. */
  constructor(gate: Gate, keysOf: (lease: bigint) => Iterable<Uint8Array>) {
    this.#gate = gate
    this.#keysOf = keysOf
  }

  range(caller: Caller, { key, rangeEnd }: RangeRequest): void {
    this.#gate.requireRange(caller, keyRange(key, rangeEnd), 'read')
  }

  /** Who puts a key with a lease could delete all of the lease's keys by it, so it must be allowed to write them. */
  put(caller: Caller, { key, lease, prevKv }: PutRequest): void {
    this.#gate.requireRange(caller, keyRange(key, EMPTY), 'write')
    if (lease !== 0n) this.lease(caller, lease)
    if (prevKv) this.#gate.requireRange(caller, keyRange(key, EMPTY), 'read')
  }

  deleteRange(caller: Caller, { key, rangeEnd, prevKv }: DeleteRangeRequest): void {
    const range = keyRange(key, rangeEnd)
    this.#gate.requireRange(caller, range, 'write')
    if (prevKv) this.#gate.requireRange(caller, range, 'read')
  }

  /** Both branches, whichever will be taken. One that asks for nothing is refused for a bad token alone. */
  txn(caller: Caller, { compare, success, failure }: TxnRequest): void {
    this.#gate.requireToken(caller)
    for (const { key, rangeEnd } of compare) {
      this.#gate.requireRange(caller, keyRange(key, rangeEnd), 'read')
    }
    for (const op of [...success, ...failure]) this.#op(caller, op)
  }

  /** For its revocation and renewal, and for putting keys with it. */
  lease(caller: Caller, lease: bigint): void {
    this.#gate.requireKeys(caller, this.#keysOf(lease), 'write')
  }

  #op(caller: Caller, { request }: RequestOp): void {
    switch (request.case) {
      case 'requestRange':
        this.range(caller, request.value)
        break
      case 'requestPut':
        this.put(caller, request.value)
        break
      case 'requestDeleteRange':
        this.deleteRange(caller, request.value)
        break
      case 'requestTxn':
        this.txn(caller, request.value)
        break
      case undefined:
        break
    }
  }
}
