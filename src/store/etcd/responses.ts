// The answers of etcd that the client reads, and of each as much as it uses (etcdserverpb rpc.proto, mvccpb kv.proto).
// What is not there has its default: zero, empty, false. Every `decode` throws WireError.
import { WireReader } from './wire.ts'

export interface KeyValue {
  /** Bytes that are no UTF-8 show as U+FFFD. */
  readonly key: string
  readonly value: string
  readonly createRevision: bigint
  readonly modRevision: bigint
  /** Id of the etcd lease it's attached to; 0n for none. */
  readonly lease: bigint
}

/** Where in the store's life an answer was given: etcd's ResponseHeader. */
export interface Position {
  readonly clusterId: bigint
  readonly revision: bigint
}

export interface RangeResponse {
  readonly header: Position
  readonly kvs: readonly KeyValue[]
}

export interface TxnResponse {
  readonly header: Position
  readonly succeeded: boolean
}

/** Of LeaseGrant and of LeaseKeepAlive. `TTL` in seconds. */
export interface LeaseResponse {
  readonly ID: bigint
  readonly TTL: bigint
}

export interface AuthenticateResponse {
  readonly token: string
}

export interface WatchResponse {
  readonly header: Position
  readonly canceled: boolean
  /** 0n unless it was cancelled because what it asked for is compacted. */
  readonly compactRevision: bigint
  readonly cancelReason: string
  /** More of the same revision follows. */
  readonly fragment: boolean
  readonly events: readonly Event[]
}

export interface Event {
  /** mvccpb.Event.EventType: 0 is a put. */
  readonly type: number
  readonly kv: KeyValue
}
export const DELETE_EVENT = 1

type Draft<T> = { -readonly [Name in keyof T]: T[Name] }

export function decodeRangeResponse(bytes: Uint8Array): RangeResponse {
  const wire = new WireReader('RangeResponse', bytes)
  const header = noPosition()
  const kvs: KeyValue[] = []
  for (let field = wire.field(); field !== 0; field = wire.field()) {
    if (field === 1) readHeader(wire, header)
    else if (field === 2) kvs.push(readKeyValue(wire, noKeyValue()))
    else wire.skip()
  }
  return { header, kvs }
}

export function decodeTxnResponse(bytes: Uint8Array): TxnResponse {
  const wire = new WireReader('TxnResponse', bytes)
  const header = noPosition()
  let succeeded = false
  for (let field = wire.field(); field !== 0; field = wire.field()) {
    if (field === 1) readHeader(wire, header)
    else if (field === 2) succeeded = wire.bool()
    else wire.skip()
  }
  return { header, succeeded }
}

export const decodeLeaseGrantResponse = (bytes: Uint8Array): LeaseResponse =>
  decodeLeaseResponse('LeaseGrantResponse', bytes)

export const decodeLeaseKeepAliveResponse = (bytes: Uint8Array): LeaseResponse =>
  decodeLeaseResponse('LeaseKeepAliveResponse', bytes)

function decodeLeaseResponse(name: string, bytes: Uint8Array): LeaseResponse {
  const wire = new WireReader(name, bytes)
  const answer = { ID: 0n, TTL: 0n }
  for (let field = wire.field(); field !== 0; field = wire.field()) {
    if (field === 2) answer.ID = wire.int64()
    else if (field === 3) answer.TTL = wire.int64()
    else wire.skip()
  }
  return answer
}

export function decodeAuthenticateResponse(bytes: Uint8Array): AuthenticateResponse {
  const wire = new WireReader('AuthenticateResponse', bytes)
  let token = ''
  for (let field = wire.field(); field !== 0; field = wire.field()) {
    if (field === 2) token = wire.string()
    else wire.skip()
  }
  return { token }
}

export function decodeWatchResponse(bytes: Uint8Array): WatchResponse {
  const wire = new WireReader('WatchResponse', bytes)
  const header = noPosition()
  const events: Event[] = []
  const answer = { header, canceled: false, compactRevision: 0n, cancelReason: '', fragment: false, events }
  for (let field = wire.field(); field !== 0; field = wire.field()) {
    switch (field) {
      case 1:
        readHeader(wire, header)
        break
      case 4:
        answer.canceled = wire.bool()
        break
      case 5:
        answer.compactRevision = wire.int64()
        break
      case 6:
        answer.cancelReason = wire.string()
        break
      case 7:
        answer.fragment = wire.bool()
        break
      case 11:
        events.push(readEvent(wire))
        break
      default:
        wire.skip()
    }
  }
  return answer
}

const noPosition = (): Draft<Position> => ({ clusterId: 0n, revision: 0n })

const noKeyValue = (): Draft<KeyValue> => ({
  key: '',
  value: '',
  createRevision: 0n,
  modRevision: 0n,
  lease: 0n,
})

// A message that comes twice where there is one is merged: what comes later is read into the same object.

function readHeader(wire: WireReader, header: Draft<Position>): void {
  const outerEnd = wire.enter()
  for (let field = wire.field(); field !== 0; field = wire.field()) {
    if (field === 1) header.clusterId = wire.uint64()
    else if (field === 3) header.revision = wire.int64()
    else wire.skip()
  }
  wire.leave(outerEnd)
}

function readEvent(wire: WireReader): Event {
  const event = { type: 0, kv: noKeyValue() }
  const outerEnd = wire.enter()
  for (let field = wire.field(); field !== 0; field = wire.field()) {
    if (field === 1) event.type = wire.enumeration()
    else if (field === 2) readKeyValue(wire, event.kv)
    else wire.skip()
  }
  wire.leave(outerEnd)
  return event
}

function readKeyValue(wire: WireReader, kv: Draft<KeyValue>): KeyValue {
  const outerEnd = wire.enter()
  for (let field = wire.field(); field !== 0; field = wire.field()) {
    switch (field) {
      case 1:
        kv.key = wire.bytesAsText()
        break
      case 2:
        kv.createRevision = wire.int64()
        break
      case 3:
        kv.modRevision = wire.int64()
        break
      case 5:
        kv.value = wire.bytesAsText()
        break
      case 6:
        kv.lease = wire.int64()
        break
      default:
        wire.skip()
    }
  }
  wire.leave(outerEnd)
  return kv
}
