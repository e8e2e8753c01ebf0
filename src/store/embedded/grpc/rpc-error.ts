// How a call is refused: a gRPC status, and etcd's own sentences for its own reasons, which clients compare.
// Sources: grpc/grpc doc/statuscodes.md; etcd api/v3rpc/rpctypes/error.go.

export const RPC_CODES = {
  ok: 0,
  canceled: 1,
  unknown: 2,
  invalid_argument: 3,
  deadline_exceeded: 4,
  not_found: 5,
  already_exists: 6,
  permission_denied: 7,
  resource_exhausted: 8,
  failed_precondition: 9,
  aborted: 10,
  out_of_range: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  data_loss: 15,
  unauthenticated: 16,
} as const

export type RpcCode = keyof typeof RPC_CODES

/** Ends a call with this status; the message reaches the client as it stands. */
export class RpcError extends Error {
  override readonly name = 'RpcError'
  readonly code: RpcCode

  constructor(code: RpcCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** As a Go client prints it: `rpc error: code = PermissionDenied desc = …`. */
export function statusText({ code, message }: RpcError): string {
  const name = code.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())
  return `rpc error: code = ${name} desc = ${message}`
}

const ETCD_REFUSALS = {
  emptyKey: ['invalid_argument', 'etcdserver: key is not provided'],
  keyNotFound: ['invalid_argument', 'etcdserver: key not found'],
  valueProvided: ['invalid_argument', 'etcdserver: value is provided'],
  leaseProvided: ['invalid_argument', 'etcdserver: lease is provided'],
  tooManyOps: ['invalid_argument', 'etcdserver: too many operations in txn request'],
  duplicateKey: ['invalid_argument', 'etcdserver: duplicate key given in txn request'],
  invalidSortOption: ['invalid_argument', 'etcdserver: invalid sort option'],
  compacted: ['out_of_range', 'etcdserver: mvcc: required revision has been compacted'],
  futureRevision: ['out_of_range', 'etcdserver: mvcc: required revision is a future revision'],
  noSpace: ['resource_exhausted', 'etcdserver: mvcc: database space exceeded'],
  leaseNotFound: ['not_found', 'etcdserver: requested lease not found'],
  leaseExists: ['failed_precondition', 'etcdserver: lease already exists'],
  leaseTtlTooLarge: ['out_of_range', 'etcdserver: too large lease TTL'],
  requestTooLarge: ['invalid_argument', 'etcdserver: request is too large'],
  tooManyRequests: ['resource_exhausted', 'etcdserver: too many requests'],
  rootUserNotExist: ['failed_precondition', 'etcdserver: root user does not exist'],
  rootRoleNotExist: ['failed_precondition', 'etcdserver: root user does not have root role'],
  userAlreadyExist: ['failed_precondition', 'etcdserver: user name already exists'],
  userEmpty: ['invalid_argument', 'etcdserver: user name is empty'],
  userNotFound: ['failed_precondition', 'etcdserver: user name not found'],
  roleAlreadyExist: ['failed_precondition', 'etcdserver: role name already exists'],
  roleNotFound: ['failed_precondition', 'etcdserver: role name not found'],
  roleEmpty: ['invalid_argument', 'etcdserver: role name is empty'],
  authFailed: ['invalid_argument', 'etcdserver: authentication failed, invalid user ID or password'],
  permissionNotGiven: ['invalid_argument', 'etcdserver: permission not given'],
  permissionDenied: ['permission_denied', 'etcdserver: permission denied'],
  roleNotGranted: ['failed_precondition', 'etcdserver: role is not granted to the user'],
  permissionNotGranted: ['failed_precondition', 'etcdserver: permission is not granted to the role'],
  authNotEnabled: ['failed_precondition', 'etcdserver: authentication is not enabled'],
  invalidAuthToken: ['unauthenticated', 'etcdserver: invalid auth token'],
  invalidAuthMgmt: ['invalid_argument', 'etcdserver: invalid auth management'],
  stopped: ['unavailable', 'etcdserver: server stopped'],
} as const satisfies Record<string, readonly [RpcCode, string]>

export type EtcdRefusal = keyof typeof ETCD_REFUSALS

/** The refusal etcd gives for this reason, code and text. */
export function refusal(reason: EtcdRefusal): RpcError {
  const [code, message] = ETCD_REFUSALS[reason]
  return new RpcError(code, message)
}
