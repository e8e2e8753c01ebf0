// Random scripts of etcd requests by several users, for fast-check: who has which role changes all the time.
import * as fc from 'fast-check'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type {
  DeleteRangeRequestSchema,
  PutRequestSchema,
  RangeRequestSchema,
  TxnRequestSchema,
  WatchCreateRequestSchema,
} from '../../src/store/embedded/gen/etcdserverpb/rpc_pb.ts'

/** Those with a password, which is their name; others come and go in the scripts, without one. */
export const USERS = ['root', 'ann', 'bob'] as const

/** Who asks: by the last token, with none, or with one that never was. */
export type As = (typeof USERS)[number] | 'nobody' | 'stranger'

export type Request =
  | { readonly kind: 'enable' | 'disable' | 'authStatus' | 'userList' | 'roleList' | 'permitNothing' }
  /** Unless given, the password is the name. */
  | { readonly kind: 'login'; readonly user: As; readonly password?: string }
  | { readonly kind: 'changePassword'; readonly name: string; readonly password: string }
  | { readonly kind: 'userAdd' | 'userDelete' | 'userGet'; readonly name: string }
  | { readonly kind: 'userGrant' | 'userRevoke'; readonly user: string; readonly role: string }
  | { readonly kind: 'roleAdd' | 'roleDelete' | 'roleGet'; readonly name: string }
  | {
      readonly kind: 'permit' | 'forbid'
      readonly role: string
      readonly key: Uint8Array
      readonly rangeEnd: Uint8Array
      readonly permType: 0 | 1 | 2
    }
  | { readonly kind: 'range'; readonly request: MessageInitShape<typeof RangeRequestSchema> }
  | { readonly kind: 'put'; readonly request: MessageInitShape<typeof PutRequestSchema> }
  | { readonly kind: 'delete'; readonly request: MessageInitShape<typeof DeleteRangeRequestSchema> }
  | { readonly kind: 'txn'; readonly request: MessageInitShape<typeof TxnRequestSchema> }
  | { readonly kind: 'watch'; readonly request: MessageInitShape<typeof WatchCreateRequestSchema> }
  | { readonly kind: 'grant' | 'revoke' | 'renew' | 'look' | 'lookKeys'; readonly id: bigint }
  | { readonly kind: 'leases' | 'status' | 'alarms' | 'members' }
  | { readonly kind: 'compact'; readonly revision: bigint }

export interface Step {
  readonly as: As
  readonly request: Request
}

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))
const user = fc.constantFrom('root', 'ann', 'ann', 'bob', 'bob', 'eve', '')
const role = fc.constantFrom('root', 'r1', 'r1', 'r2', 'r2', 'none', '')
const mostlyRole = fc.constantFrom('r1', 'r2')
const person = fc.constantFrom(...USERS)

const rangeOf = ([key, rangeEnd]: readonly [string, string]) => ({
  key: bytes(key),
  rangeEnd: bytes(rangeEnd),
})
/** One end for each key: etcd keeps several permissions of one range where others begin with the same key. */
const permitted = fc
  .constantFrom<readonly [string, string]>(
    ['a', ''],
    ['b', 'c'],
    ['b/1', ''],
    ['c', 'd'],
    ['d', '\0'],
    ['\0', '\0'],
    ['c', 'b'],
    ['', ''],
  )
  .map(rangeOf)
const asked = fc
  .constantFrom<readonly [string, string]>(
    ['a', ''],
    ['b', ''],
    ['b/1', ''],
    ['b/1', 'b/2'],
    ['b', 'c'],
    ['b', 'd'],
    ['c', ''],
    ['d', '\0'],
    ['e', 'f'],
    ['a', '\0'],
    ['\0', '\0'],
    ['a', 'z'],
  )
  .map(rangeOf)
const key = fc.constantFrom('a', 'b', 'b/1', 'c', 'd', 'e').map(bytes)
const lease = fc.constantFrom(0n, 0n, 11n, 12n)
const someLease = fc.constantFrom(11n, 12n, 13n)

const range = asked.map((request) => ({ kind: 'range' as const, request }))
const put = fc.record({
  kind: fc.constant('put' as const),
  request: fc.record({ key, value: fc.constant(bytes('v')), lease, prevKv: fc.boolean() }),
})
const deletion = fc
  .tuple(asked, fc.boolean())
  .map(([bounds, prevKv]) => ({ kind: 'delete' as const, request: { ...bounds, prevKv } }))
const op = fc.oneof(
  range.map(({ request }) => ({ request: { case: 'requestRange' as const, value: request } })),
  key.map((one) => ({ request: { case: 'requestPut' as const, value: { key: one, value: bytes('t') } } })),
  // Our store refuses a put beside a deletion of all keys from one on, which etcd lets through: not asked here.
  asked
    .filter(({ rangeEnd }) => !rangeEnd.includes(0))
    .map((bounds) => ({ request: { case: 'requestDeleteRange' as const, value: bounds } })),
)
const nested = fc.record({ success: fc.array(op, { maxLength: 1 }) }).map((value) => ({
  request: { case: 'requestTxn' as const, value },
}))
const branch = fc.array(fc.oneof({ weight: 4, arbitrary: op }, { weight: 1, arbitrary: nested }), {
  maxLength: 2,
})
const txn = fc.record({
  kind: fc.constant('txn' as const),
  request: fc.record({
    compare: fc.array(
      asked.map((bounds) => ({
        ...bounds,
        target: 0 as const,
        result: 1 as const,
        targetUnion: { case: 'version' as const, value: 0n },
      })),
      { maxLength: 1 },
    ),
    success: branch,
    failure: branch,
  }),
})

const named = (kind: 'userAdd' | 'userDelete' | 'userGet') =>
  fc.record({ kind: fc.constant(kind), name: user })
const ofRole = (kind: 'roleAdd' | 'roleDelete' | 'roleGet') =>
  fc.record({ kind: fc.constant(kind), name: role })
const alone = <Kind extends Request['kind']>(...kinds: Kind[]) =>
  fc.constantFrom(...kinds).map((kind) => ({ kind }))

const administration: fc.Arbitrary<Request> = fc.oneof(
  { weight: 1, arbitrary: alone('disable') },
  { weight: 4, arbitrary: alone('enable') },
  { weight: 2, arbitrary: alone('authStatus', 'userList', 'roleList') },
  { weight: 1, arbitrary: named('userAdd') },
  {
    weight: 1,
    arbitrary: fc.constantFrom('eve', '').map((name) => ({ kind: 'userDelete' as const, name })),
  },
  { weight: 2, arbitrary: named('userGet') },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('userGrant' as const),
      user,
      role: fc.oneof({ weight: 4, arbitrary: mostlyRole }, { weight: 1, arbitrary: role }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('userRevoke' as const), user, role }) },
  { weight: 3, arbitrary: ofRole('roleAdd') },
  { weight: 1, arbitrary: ofRole('roleDelete') },
  { weight: 2, arbitrary: ofRole('roleGet') },
  {
    weight: 6,
    arbitrary: fc
      .record({
        kind: fc.constant('permit' as const),
        role: mostlyRole,
        permType: fc.constantFrom(0 as const, 1 as const, 2 as const),
        range: permitted,
      })
      .map(({ range: bounds, ...rest }) => ({ ...rest, ...bounds })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({
        kind: fc.constant('forbid' as const),
        role,
        permType: fc.constant(0 as const),
        range: permitted,
      })
      .map(({ range: bounds, ...rest }) => ({ ...rest, ...bounds })),
  },
)
const use: fc.Arbitrary<Request> = fc.oneof(
  { weight: 4, arbitrary: range },
  { weight: 4, arbitrary: put },
  { weight: 2, arbitrary: deletion },
  { weight: 3, arbitrary: txn },
  { weight: 2, arbitrary: asked.map((request) => ({ kind: 'watch' as const, request })) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'grant' as const,
        'revoke' as const,
        'renew' as const,
        'look' as const,
        'lookKeys' as const,
      ),
      id: someLease,
    }),
  },
  { weight: 1, arbitrary: alone('leases', 'status', 'alarms', 'members') },
  { weight: 1, arbitrary: fc.constant({ kind: 'compact' as const, revision: 1_000_000n }) },
)
const as: fc.Arbitrary<As> = fc.oneof(
  { weight: 8, arbitrary: person },
  { weight: 1, arbitrary: fc.constant('nobody' as const) },
  { weight: 1, arbitrary: fc.constant('stranger' as const) },
)

export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      as: fc.oneof({ weight: 6, arbitrary: fc.constant('root' as const) }, { weight: 1, arbitrary: as }),
      request: administration,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ as, request: person.map((name) => ({ kind: 'login' as const, user: name })) }),
  },
  { weight: 6, arbitrary: fc.record({ as, request: use }) },
)
