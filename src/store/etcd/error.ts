// What went wrong between us and etcd, as one error class; and how gRPC statuses map to the store's codes.
// Sources: grpc/grpc doc/statuscodes.md, etcd api/v3rpc/rpctypes/error.go.
import { StoreError } from '../store.ts'

/** gRPC status codes that mean something to us. */
export const Status = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const

/** A call to etcd that failed. `status` is gRPC's, `detail` what the server (or the connection) said. */
export class EtcdError extends StoreError {
  readonly status: number
  readonly detail: string

  constructor(status: number, endpoint: string, what: string, detail: string, options?: ErrorOptions) {
    const code = codeOf(status, detail)
    super(code, `etcd at ${endpoint}: ${what}: ${detail}; ${nextStep(code, detail)}`, options)
    this.name = 'EtcdError'
    this.status = status
    this.detail = detail
  }
}

const NEXT: Readonly<Record<StoreError['code'], string>> = {
  unavailable: 'it is tried again until it works: check that etcd runs and can be reached',
  auth: 'check user, password, certificates and the rights of the user on the prefix',
  full: 'compact and defragment etcd and clear its alarms, or raise its quota',
  invalid: 'this is not an etcd with the v3 API, or it refuses what was asked',
  compacted: 'the keys are listed again',
  lost: 'the lease is acquired anew',
}

function nextStep(code: StoreError['code'], detail: string): string {
  if (code !== 'unavailable') return NEXT[code]
  if (CERTIFICATES.test(detail))
    return "it is tried again until it works: check --etcd-cafile, --etcd-certfile and --etcd-keyfile, and the server's certificate"
  if (detail.includes(CLOSED_EARLY))
    return 'it is tried again until it works: check that etcd is well, and that it is no https:// endpoint called by http://'
  return NEXT.unavailable
}

/** What OpenSSL, BoringSSL and Node's TLS say of certificates, our own or the server's. */
const CERTIFICATES = /certificate|altnames|TLSV1_ALERT_UNKNOWN_CA/i

/** What a server does that speaks TLS, among others, when it is called without. */
export const CLOSED_EARLY = 'the connection was closed before HTTP/2 began'

/** A failure on our side of the call: the connection, a deadline, a frame that is none. */
export const unavailable = (endpoint: string, what: string, detail: string, cause?: unknown): EtcdError =>
  new EtcdError(Status.unavailable, endpoint, what, detail, cause === undefined ? undefined : { cause })

/** Files that are missing, or being renewed just now. It's no matter of one endpoint. */
export const badCertificates = (verb: 'read' | 'used', cause: unknown): StoreError => {
  const detail = cause instanceof Error ? cause.message : String(cause)
  const message = `the certificates for etcd can't be ${verb}: ${detail}; they are read again until it works`
  return new StoreError('unavailable', message, { cause })
}

function codeOf(status: number, detail: string): StoreError['code'] {
  switch (status) {
    case Status.unauthenticated:
    case Status.permissionDenied:
      return 'auth'
    case Status.resourceExhausted:
      return detail.includes('space') ? 'full' : 'unavailable'
    case Status.outOfRange:
      return 'compacted'
    case Status.invalidArgument:
    case Status.failedPrecondition:
      return AUTH.test(detail) ? 'auth' : 'invalid'
    case Status.notFound:
    case Status.unimplemented:
      return 'invalid'
    default:
      return 'unavailable'
  }
}
const AUTH = /authentication|user name is empty|auth store|not enabled/

/** What etcd says of a token that is stale, or wasn't sent: ErrInvalidAuthToken, ErrAuthOldRevision, ErrUserEmpty of rpctypes. */
export const STALE_LOGIN = /invalid auth token|auth store is old|user name is empty/

/** Logging in (again) may mend it. */
export const wantsLogin = (error: unknown): boolean =>
  error instanceof EtcdError && (error.status === Status.unauthenticated || STALE_LOGIN.test(error.detail))

/** Asked for a token, etcd says that it needs none: ErrAuthNotEnabled of rpctypes. */
export const isAuthOff = (error: unknown): boolean =>
  error instanceof EtcdError && /authentication is not enabled/.test(error.detail)

/** The etcd lease has expired or was revoked. */
export const isLeaseGone = (error: unknown): boolean =>
  error instanceof EtcdError && error.status === Status.notFound && error.detail.includes('lease')

/** What was asked is of a revision that the store has yet to come to: ErrFutureRev of rpctypes. */
export const isFutureRevision = (error: unknown): boolean =>
  error instanceof EtcdError && error.detail.includes('future revision')

/** Worth trying again without anybody doing something: the store may come back by itself. */
export const isTemporary = (error: unknown): error is StoreError =>
  error instanceof StoreError && error.code === 'unavailable'
