// Random scripts of etcd requests for fast-check: few keys and values, so that they meet each other often.
import type { MessageInitShape } from '@bufbuild/protobuf'
import * as fc from 'fast-check'
import type {
  CompareSchema,
  DeleteRangeRequestSchema,
  PutRequestSchema,
  RangeRequestSchema,
  RequestOpSchema,
} from '../../src/store/embedded/gen/etcdserverpb/rpc_pb.ts'

export type Compare = MessageInitShape<typeof CompareSchema>
export type RequestOp = MessageInitShape<typeof RequestOpSchema>

/** Revisions in a script count back from the newest one at that point; this far back means "not given". */
export const NOT_GIVEN = 99

export type Command =
  | { readonly kind: 'put'; readonly request: MessageInitShape<typeof PutRequestSchema> }
  | {
      readonly kind: 'range'
      readonly request: MessageInitShape<typeof RangeRequestSchema>
      readonly back: number
      readonly bounds: Bounds
    }
  | { readonly kind: 'delete'; readonly request: MessageInitShape<typeof DeleteRangeRequestSchema> }
  | { readonly kind: 'txn'; readonly request: TxnScript }
  | { readonly kind: 'compact'; readonly physical: boolean; readonly back: number }
  | { readonly kind: 'grant'; readonly id: bigint; readonly ttl: bigint }
  | { readonly kind: 'revoke'; readonly id: bigint }
  | { readonly kind: 'look'; readonly id: bigint }
  | { readonly kind: 'leases' }

type Bounds = Readonly<
  Record<'minModRevision' | 'maxModRevision' | 'minCreateRevision' | 'maxCreateRevision', number>
>

export interface TxnScript {
  readonly compare: readonly { readonly compare: Compare; readonly back: number }[]
  readonly success: readonly OpScript[]
  readonly failure: readonly OpScript[]
}
export type OpScript = Extract<Command, { kind: 'put' | 'range' | 'delete' | 'txn' }>

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))
const key = fc.constantFrom('', 'a', 'a\0', 'ab', 'b', 'b/1', 'b/2', 'c', '\xff').map(bytes)
const someKey = fc.constantFrom('a', 'ab', 'b', 'b/1', 'b/2', 'c').map(bytes)
const mostlyKeys = fc.oneof({ weight: 12, arbitrary: someKey }, { weight: 1, arbitrary: key })
const boundedEnd = fc.constantFrom('', '', 'b', 'b0', 'c', 'd', '\xff').map(bytes)
const rangeEnd = fc.oneof(boundedEnd, fc.constant(bytes('\0')))
const value = fc.constantFrom('', '1', '2', '10', '\0\xfe').map(bytes)
const leaseId = fc.constantFrom(0n, 0n, 11n, 12n, 13n)
const rarely = fc.integer({ min: 0, max: 5 }).map((n) => n === 0)
const back = fc.integer({ min: -1, max: 12 })
const mostlyNow = fc.oneof({ weight: 3, arbitrary: fc.constant(NOT_GIVEN) }, { weight: 1, arbitrary: back })
const seldomGiven = fc.oneof({ weight: 9, arbitrary: fc.constant(NOT_GIVEN) }, { weight: 1, arbitrary: back })
const smallInteger = fc.bigInt({ min: 0n, max: 4n })

const put: fc.Arbitrary<OpScript> = fc.record({
  kind: fc.constant('put'),
  request: fc.record({
    key: mostlyKeys,
    value,
    lease: leaseId,
    prevKv: fc.boolean(),
    ignoreValue: rarely,
    ignoreLease: rarely,
  }),
})
const range: fc.Arbitrary<OpScript> = fc.record({
  kind: fc.constant('range'),
  back: mostlyNow,
  bounds: fc.record({
    minModRevision: seldomGiven,
    maxModRevision: seldomGiven,
    minCreateRevision: seldomGiven,
    maxCreateRevision: seldomGiven,
  }),
  request: fc.record({
    key: mostlyKeys,
    rangeEnd,
    limit: fc.bigInt({ min: 0n, max: 4n }),
    sortOrder: fc.constantFrom(0, 1, 2),
    sortTarget: fc.constantFrom(0, 1, 2, 3, 4),
    keysOnly: rarely,
    countOnly: rarely,
  }),
})
const deletion = (end: fc.Arbitrary<Uint8Array>): fc.Arbitrary<OpScript> =>
  fc.record({
    kind: fc.constant('delete'),
    request: fc.record({ key: mostlyKeys, rangeEnd: end, prevKv: fc.boolean() }),
  })
const compare = fc.record({
  back,
  compare: fc
    .record({
      key: mostlyKeys,
      rangeEnd: fc.oneof(
        { weight: 3, arbitrary: fc.constant(bytes('')) },
        { weight: 1, arbitrary: rangeEnd },
      ),
      result: fc.constantFrom(0, 1, 2, 3),
      target: fc.constantFrom(0, 1, 2, 3, 4),
      operand: fc.oneof(
        smallInteger.map((version) => ({ case: 'version' as const, value: version })),
        smallInteger.map((version) => ({ case: 'createRevision' as const, value: version })),
        smallInteger.map((version) => ({ case: 'modRevision' as const, value: version })),
        leaseId.map((lease) => ({ case: 'lease' as const, value: lease })),
        value.map((held) => ({ case: 'value' as const, value: held })),
      ),
    })
    .map(({ operand, ...rest }): Compare => ({ ...rest, targetUnion: operand })),
})
/** Our store refuses a put beside a deletion of all keys from one on, which etcd lets through: not asked here. */
const txn = (depth: number): fc.Arbitrary<OpScript> => {
  const inner = depth === 0 ? [] : [{ weight: 1, arbitrary: txn(depth - 1) }]
  const op = fc.oneof(
    { weight: 3, arbitrary: put },
    { weight: 2, arbitrary: range },
    { weight: 1, arbitrary: deletion(boundedEnd) },
    ...inner,
  )
  return fc.record({
    kind: fc.constant('txn'),
    request: fc.record({
      compare: fc.array(compare, { maxLength: 2 }),
      success: fc.array(op, { maxLength: 4 }),
      failure: fc.array(op, { maxLength: 4 }),
    }),
  })
}
export const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: put },
  { weight: 5, arbitrary: range },
  { weight: 2, arbitrary: deletion(rangeEnd) },
  { weight: 5, arbitrary: txn(2) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('compact'),
      physical: fc.boolean(),
      back: fc.integer({ min: -1, max: 15 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('grant'),
      id: leaseId.filter((id) => id !== 0n),
      ttl: fc.constantFrom(1000n, 5000n, 9_000_000_001n),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('revoke'), id: leaseId }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('look'), id: leaseId }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leases') }) },
)
