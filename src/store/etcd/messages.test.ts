// Our messages against the generated ones of protobuf-es, which know all of etcd's schema: what we write they read, and
// what they write, or what is left of it, we read as they do or not at all.
import { describe, expect, test } from 'bun:test'
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import * as fc from 'fast-check'
import {
  AuthenticateRequestSchema,
  AuthenticateResponseSchema,
  type CompareSchema,
  Compare_CompareResult as Result,
  Compare_CompareTarget as Target,
  LeaseGrantRequestSchema,
  LeaseGrantResponseSchema,
  LeaseKeepAliveRequestSchema,
  LeaseKeepAliveResponseSchema,
  RangeRequestSchema,
  RangeResponseSchema,
  type RequestOpSchema,
  TxnRequestSchema,
  TxnResponseSchema,
  WatchRequestSchema,
  WatchResponseSchema,
  type ResponseHeader,
} from '../embedded/gen/etcdserverpb/rpc_pb.ts'
import { EventSchema, type KeyValue as GeneratedKeyValue } from '../embedded/gen/mvccpb/kv_pb.ts'
import { authenticate, kvRange, kvTxn, leaseGrant, leaseKeepAlive, watchKeys } from './methods.ts'
import type { Compare, RequestOp } from './requests.ts'
import type { KeyValue, Position } from './responses.ts'
import { WireError, WireWriter } from './wire.ts'

const edges = [1n, 127n, 128n, 1n << 28n, 1n << 32n, (1n << 53n) + 1n, 1n << 56n, (1n << 63n) - 1n]
const int64 = fc.oneof(
  fc.constantFrom(0n, ...edges, ...edges.map((edge) => -edge), -(1n << 63n)),
  fc.bigInt(-(1n << 63n), (1n << 63n) - 1n),
)
const uint64 = int64.map((value) => BigInt.asUintN(64, value))
const text = fc.string({ maxLength: 20 }).map((one) => one.toWellFormed())
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 12 }),
  text.map((one) => new Uint8Array(Buffer.from(one))),
  fc.integer({ min: 100, max: 400 }).map((length) => new Uint8Array(length).fill(65)),
)
const optional = { requiredKeys: [] }

describe('of the requests', () => {
  /** Read by the generated code as `expected`, and byte for byte what it writes. */
  const expectSame = <S extends DescMessage>(
    schema: S,
    written: Uint8Array,
    expected: MessageInitShape<S>,
  ): void => {
    expect(fromBinary(schema, written)).toEqual(create(schema, expected))
    expect([...written]).toEqual([...toBinary(schema, create(schema, expected))])
  }

  test('Range', () => {
    fc.assert(
      fc.property(fc.record({ key: bytes, rangeEnd: bytes, revision: int64 }), (request) =>
        expectSame(RangeRequestSchema, kvRange.encode(request), request),
      ),
    )
  })

  const generatedCompare = (one: Compare): MessageInitShape<typeof CompareSchema> => ({
    key: one.key,
    rangeEnd: one.rangeEnd,
    target: one.target === 'mod' ? Target.MOD : Target.CREATE,
    result: one.result === 'less' ? Result.LESS : Result.EQUAL,
    targetUnion: { case: one.target === 'mod' ? 'modRevision' : 'createRevision', value: one.revision },
  })
  const generatedOp = ({ kind, ...value }: RequestOp): MessageInitShape<typeof RequestOpSchema> => ({
    request: { case: kind === 'put' ? 'requestPut' : 'requestDeleteRange', value },
  })

  test('Txn', () => {
    const compare: fc.Arbitrary<Compare> = fc.record({
      key: bytes,
      rangeEnd: bytes,
      target: fc.constantFrom('create', 'mod'),
      result: fc.constantFrom('equal', 'less'),
      revision: int64,
    })
    const operation: fc.Arbitrary<RequestOp> = fc.oneof(
      fc.record({ kind: fc.constant('put' as const), key: bytes, value: bytes, lease: int64 }),
      fc.record({ kind: fc.constant('delete' as const), key: bytes, rangeEnd: bytes }),
    )
    fc.assert(
      fc.property(fc.record({ compare: fc.array(compare), success: fc.array(operation) }), (request) =>
        expectSame(TxnRequestSchema, kvTxn.encode(request), {
          compare: request.compare.map(generatedCompare),
          success: request.success.map(generatedOp),
        }),
      ),
    )
  })

  test('LeaseGrant, LeaseKeepAlive, Authenticate', () => {
    fc.assert(
      fc.property(int64, text, text, (number, name, password) => {
        expectSame(LeaseGrantRequestSchema, leaseGrant.encode({ TTL: number }), { TTL: number })
        expectSame(LeaseKeepAliveRequestSchema, leaseKeepAlive.encode({ ID: number }), { ID: number })
        expectSame(AuthenticateRequestSchema, authenticate.encode({ name, password }), { name, password })
      }),
    )
  })

  test('Watch', () => {
    fc.assert(
      fc.property(fc.record({ key: bytes, rangeEnd: bytes, startRevision: int64 }), (request) =>
        expectSame(WatchRequestSchema, watchKeys.encode({ kind: 'create', ...request }), {
          requestUnion: { case: 'createRequest', value: { ...request, fragment: true } },
        }),
      ),
    )
    expectSame(WatchRequestSchema, watchKeys.encode({ kind: 'progress' }), {
      requestUnion: { case: 'progressRequest', value: {} },
    })
  })
})

/** One kind of answer: any of it in etcd's schema, our decoder, and what we should make of what the oracle made of it. */
interface Answer<S extends DescMessage> {
  readonly schema: S
  readonly any: fc.Arbitrary<object>
  readonly decode: (message: Uint8Array) => object
  readonly view: (message: MessageShape<S>) => object
}
const answer = <S extends DescMessage>(one: Answer<S>): Answer<DescMessage> => one

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const position = (header: ResponseHeader | undefined): Position => ({
  clusterId: header?.clusterId ?? 0n,
  revision: header?.revision ?? 0n,
})
const keyValue = (kv: GeneratedKeyValue | undefined): KeyValue => ({
  key: decoder.decode(kv?.key),
  value: decoder.decode(kv?.value),
  createRevision: kv?.createRevision ?? 0n,
  modRevision: kv?.modRevision ?? 0n,
  lease: kv?.lease ?? 0n,
})

const header = fc.record({ clusterId: uint64, memberId: uint64, revision: int64, raftTerm: uint64 }, optional)
const kv = fc.record(
  { key: bytes, createRevision: int64, modRevision: int64, version: int64, value: bytes, lease: int64 },
  optional,
)
const kvs = fc.array(kv, { maxLength: 4 })
const type = fc.constantFrom(0, 1, 7, -1)
const lease = { header, ID: int64, TTL: int64 }

const answers: readonly Answer<DescMessage>[] = [
  answer({
    schema: RangeResponseSchema,
    any: fc.record({ header, kvs, more: fc.boolean(), count: int64 }, optional),
    decode: kvRange.decode,
    view: (message) => ({ header: position(message.header), kvs: message.kvs.map(keyValue) }),
  }),
  answer({
    schema: TxnResponseSchema,
    any: fc.record(
      {
        header,
        succeeded: fc.boolean(),
        responses: fc.array(
          fc
            .oneof(
              fc.record({ header, prevKv: kv }, optional).map((value) => ({ case: 'responsePut', value })),
              fc.record({ header, kvs }, optional).map((value) => ({ case: 'responseRange', value })),
            )
            .map((response) => ({ response })),
          { maxLength: 3 },
        ),
      },
      optional,
    ),
    decode: kvTxn.decode,
    view: (message) => ({ header: position(message.header), succeeded: message.succeeded }),
  }),
  answer({
    schema: LeaseGrantResponseSchema,
    any: fc.record({ ...lease, error: text }, optional),
    decode: leaseGrant.decode,
    view: ({ ID, TTL }) => ({ ID, TTL }),
  }),
  answer({
    schema: LeaseKeepAliveResponseSchema,
    any: fc.record(lease, optional),
    decode: leaseKeepAlive.decode,
    view: ({ ID, TTL }) => ({ ID, TTL }),
  }),
  answer({
    schema: AuthenticateResponseSchema,
    any: fc.record({ header, token: text }, optional),
    decode: authenticate.decode,
    view: ({ token }) => ({ token }),
  }),
  answer({
    schema: WatchResponseSchema,
    any: fc.record(
      {
        header,
        watchId: int64,
        created: fc.boolean(),
        canceled: fc.boolean(),
        compactRevision: int64,
        cancelReason: text,
        fragment: fc.boolean(),
        events: fc.array(fc.record({ type, kv, prevKv: kv }, optional), { maxLength: 4 }),
      },
      optional,
    ),
    decode: watchKeys.decode,
    view: ({ canceled, compactRevision, cancelReason, fragment, ...message }) => ({
      header: position(message.header),
      canceled,
      compactRevision,
      cancelReason,
      fragment,
      events: message.events.map((event) => ({ type: event.type, kv: keyValue(event.kv) })),
    }),
  }),
]

const concat = (parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts))
/** Fields that a later etcd may invent, one of each type. */
const invented = fc.constantFrom(
  Uint8Array.of(0xa8, 0x06, 0x81, 0x01),
  Uint8Array.of(0xa9, 0x06, 1, 2, 3, 4, 5, 6, 7, 8),
  Uint8Array.of(0xaa, 0x06, 2, 0xff, 0xff),
  Uint8Array.of(0xad, 0x06, 1, 2, 3, 4),
)

for (const { schema, any, decode, view } of answers)
  describe(`a ${schema.name}`, () => {
    const encoded = any.map((message) =>
      toBinary(schema, create(schema, message as MessageInitShape<typeof schema>)),
    )
    const oracle = (message: Uint8Array) => view(fromBinary(schema, message))
    const isCanonical = (message: Uint8Array): boolean => {
      try {
        return Buffer.compare(toBinary(schema, fromBinary(schema, message)), message) === 0
      } catch {
        return false
      }
    }
    /** What we read; undefined if it's refused with a sentence that names it. */
    const readOrRefused = (message: Uint8Array): object | undefined => {
      try {
        return decode(message)
      } catch (error) {
        expect(error).toBeInstanceOf(WireError)
        expect(String(error)).toMatch(`the bytes are no ${schema.name}: `)
        return undefined
      }
    }

    test('is read as it was written', () => {
      fc.assert(fc.property(encoded, (message) => expect(decode(message)).toStrictEqual(oracle(message))))
      expect(decode(new Uint8Array())).toStrictEqual(oracle(new Uint8Array()))
    })

    test('is merged of parts in any order, with fields nobody knows', () => {
      fc.assert(
        fc.property(fc.array(fc.oneof(encoded, invented), { maxLength: 5 }), (parts) => {
          const message = concat(parts)
          expect(decode(message)).toStrictEqual(oracle(message))
        }),
      )
    })

    test('that is cut off anywhere is refused, or is one with fewer fields', () => {
      fc.assert(
        fc.property(encoded, (message) => {
          for (let length = 0; length < message.length; length++) {
            const cut = message.subarray(0, length)
            const read = readOrRefused(cut)
            if (read !== undefined) expect(read).toStrictEqual(oracle(cut))
          }
        }),
        { numRuns: 30 },
      )
    })

    // The oracle reads on where a field is of the wrong type or reaches beyond its message, so it's asked only about
    // what it would write itself.
    test('with any bytes changed, or of any bytes at all, is read as it should be or refused', () => {
      const changed = fc
        .tuple(encoded, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }))
        .map(([message, changes]) =>
          changes.reduce(
            (bytes, [at, value]) => (bytes.length === 0 ? bytes : bytes.with(at % bytes.length, value)),
            message,
          ),
        )
      fc.assert(
        fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 60 })), (message) => {
          const read = readOrRefused(message)
          if (read !== undefined && isCanonical(message)) expect(read).toStrictEqual(oracle(message))
        }),
        { numRuns: 1_000 },
      )
    })
  })

test('the key of an event is merged of parts', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ type, kv }, optional), { minLength: 1, maxLength: 3 }), (parts) => {
      const body = concat(
        parts.map((part) =>
          toBinary(EventSchema, create(EventSchema, part as MessageInitShape<typeof EventSchema>)),
        ),
      )
      const { events } = watchKeys.decode(new WireWriter().message(11, body).finish())
      const merged = fromBinary(EventSchema, body)
      expect(events).toStrictEqual([{ type: merged.type, kv: keyValue(merged.kv) }])
    }),
  )
})

test('a text outlives the bytes it was read from', () => {
  const message = toBinary(
    RangeResponseSchema,
    create(RangeResponseSchema, { kvs: [{ key: Buffer.from('key'), value: Buffer.from('value') }] }),
  )
  const { kvs } = kvRange.decode(message)
  message.fill(0)
  expect(kvs).toMatchObject([{ key: 'key', value: 'value' }])
})
