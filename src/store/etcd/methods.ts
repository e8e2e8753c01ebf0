// The calls of etcd's v3 API that the client makes, each with the codec of its messages.
import type { Method } from './call.ts'
import {
  encodeAuthenticateRequest,
  encodeLeaseGrantRequest,
  encodeLeaseKeepAliveRequest,
  encodeRangeRequest,
  encodeTxnRequest,
  encodeWatchRequest,
  type AuthenticateRequest,
  type LeaseGrantRequest,
  type LeaseKeepAliveRequest,
  type RangeRequest,
  type TxnRequest,
  type WatchRequest,
} from './requests.ts'
import {
  decodeAuthenticateResponse,
  decodeLeaseGrantResponse,
  decodeLeaseKeepAliveResponse,
  decodeRangeResponse,
  decodeTxnResponse,
  decodeWatchResponse,
  type AuthenticateResponse,
  type LeaseResponse,
  type RangeResponse,
  type TxnResponse,
  type WatchResponse,
} from './responses.ts'

export const kvRange: Method<RangeRequest, RangeResponse> = {
  service: 'etcdserverpb.KV',
  name: 'Range',
  encode: encodeRangeRequest,
  decode: decodeRangeResponse,
}

export const kvTxn: Method<TxnRequest, TxnResponse> = {
  service: 'etcdserverpb.KV',
  name: 'Txn',
  encode: encodeTxnRequest,
  decode: decodeTxnResponse,
}

export const leaseGrant: Method<LeaseGrantRequest, LeaseResponse> = {
  service: 'etcdserverpb.Lease',
  name: 'LeaseGrant',
  encode: encodeLeaseGrantRequest,
  decode: decodeLeaseGrantResponse,
}

/** A stream by its type; closed on our side after one request, it answers once and ends. */
export const leaseKeepAlive: Method<LeaseKeepAliveRequest, LeaseResponse> = {
  service: 'etcdserverpb.Lease',
  name: 'LeaseKeepAlive',
  encode: encodeLeaseKeepAliveRequest,
  decode: decodeLeaseKeepAliveResponse,
}

export const watchKeys: Method<WatchRequest, WatchResponse> = {
  service: 'etcdserverpb.Watch',
  name: 'Watch',
  encode: encodeWatchRequest,
  decode: decodeWatchResponse,
}

export const authenticate: Method<AuthenticateRequest, AuthenticateResponse> = {
  service: 'etcdserverpb.Auth',
  name: 'Authenticate',
  encode: encodeAuthenticateRequest,
  decode: decodeAuthenticateResponse,
}
