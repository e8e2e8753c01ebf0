// One watch against a scripted server: what it asks for, what it makes of the answers, and of nonsense.
import { describe, expect, test } from 'bun:test'
import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import * as fc from 'fast-check'
import type { IncomingHttpHeaders } from 'node:http2'
import { GRPC, respond, serveGrpc } from '../../../test/support/grpc-server.ts'
import { Channel } from './channel.ts'
import { EtcdError } from './error.ts'
import { encodeFrame, FrameReader } from './frame.ts'
import {
  WatchRequestSchema,
  WatchResponseSchema,
  type WatchRequest,
} from '../embedded/gen/etcdserverpb/rpc_pb.ts'
import { Event_EventType } from '../embedded/gen/mvccpb/kv_pb.ts'
import { keysUnder } from './kv.ts'
import { watch, type WatchBatch } from './watch.ts'

type Answer = MessageInitShape<typeof WatchResponseSchema>
const header = (revision: bigint) => ({ clusterId: 7n, revision })
const created: Answer = { header: header(5n), created: true }
const put = (key: string, modRevision: bigint) => ({
  type: Event_EventType.PUT,
  kv: { key: Buffer.from(key), value: Buffer.from('v'), modRevision, createRevision: 1n, lease: 9n },
})
const frameOf = (answer: Answer) =>
  encodeFrame(toBinary(WatchResponseSchema, create(WatchResponseSchema, answer)))

/** What a watch makes of those frames, and what ended it. */
async function outcome(
  frames: readonly Uint8Array[],
  trailers?: Readonly<Record<string, string>>,
  revision = 6n,
) {
  using server = await serveGrpc((stream) => respond(stream, frames, trailers))
  using channel = new Channel({ endpoints: [server.endpoint], deadlineMs: 2_000 })
  const batches: WatchBatch[] = []
  try {
    for await (const batch of watch(channel, keysUnder('/n/subnets'), revision, new AbortController().signal))
      batches.push(batch)
  } catch (error) {
    return { batches, error: error instanceof EtcdError ? error : expect.unreachable(String(error)) }
  }
  return expect.unreachable('a watch never returns by itself')
}

describe('a watch', () => {
  test('asks for its range from its revision, in fragments, of a member with a leader', async () => {
    const asked = Promise.withResolvers<{ request: WatchRequest; headers: IncomingHttpHeaders }>()
    using server = await serveGrpc((stream, _, headers) => {
      const reader = new FrameReader(1 << 20)
      stream.on('data', (chunk: Buffer) => {
        for (const message of reader.push(chunk))
          asked.resolve({ request: fromBinary(WatchRequestSchema, message), headers })
      })
      stream.respond(GRPC)
      stream.write(frameOf(created))
    })
    using channel = new Channel({ endpoints: [server.endpoint] })
    for await (const batch of watch(channel, keysUnder('/n/subnets'), 6n, new AbortController().signal)) {
      expect(batch).toEqual({ at: header(5n), events: [] })
      break
    }
    const { request, headers } = await asked.promise
    expect(headers).toMatchObject({ hasleader: 'true', te: 'trailers', 'content-type': 'application/grpc' })
    expect(request.requestUnion).toMatchObject({
      case: 'createRequest',
      value: { startRevision: 6n, fragment: true, prevKv: false },
    })
    if (request.requestUnion.case !== 'createRequest') return expect.unreachable()
    expect(Buffer.from(request.requestUnion.value.key).toString()).toBe('/n/subnets')
    expect(Buffer.from(request.requestUnion.value.rangeEnd).toString()).toBe('/n/subnett')
  })

  test('puts fragments together, and tells puts from deletions', async () => {
    const result = await outcome([
      frameOf(created),
      frameOf({ header: header(6n), events: [put('a', 6n)], fragment: true }),
      frameOf({ header: header(6n), events: [put('b', 6n)], fragment: true }),
      frameOf({
        header: header(6n),
        events: [{ type: Event_EventType.DELETE, kv: { key: Buffer.from('c'), modRevision: 6n } }],
      }),
      frameOf({ header: header(7n), events: [put('d', 7n)] }),
      frameOf({ header: header(9n) }),
    ])
    const told = result.batches.map(({ events }) =>
      events.map((e) => (e.kind === 'put' ? `+${e.kv.key}` : `-${e.key}`)),
    )
    expect(told).toEqual([[], ['+a', '+b', '-c'], ['+d'], []])
    expect(result.error.message).toContain('the server ended the watch')
  })

  test.each<[string, Answer, EtcdError['code']]>([
    ['a compaction', { canceled: true, compactRevision: 40n, cancelReason: 'compacted' }, 'compacted'],
    ['missing rights', { canceled: true, cancelReason: 'rpc error: etcdserver: permission denied' }, 'auth'],
    ['a stale login', { canceled: true, cancelReason: 'etcdserver: invalid auth token' }, 'auth'],
    ['the server’s whim', { canceled: true }, 'unavailable'],
  ])('that is cancelled for %s says so', async (_, answer, code) => {
    const result = await outcome([frameOf(created), frameOf(answer)])
    expect(result.error.code).toBe(code)
    expect(result.batches.length).toBe(1)
  })

  test('from past the last revision there can be fails as a call does', async () => {
    const { error } = await outcome([frameOf(created)], undefined, 1n << 63n)
    expect(error.message).toContain('Watch: 9223372036854775808 is no 64-bit integer')
  })

  test('takes whatever events come, and ends with a sentence', async () => {
    const int64 = fc.bigInt(-(1n << 63n), (1n << 63n) - 1n)
    const bytes = fc.uint8Array({ maxLength: 12 })
    const kv = fc.record(
      { key: bytes, value: bytes, modRevision: int64, createRevision: int64, lease: int64, version: int64 },
      { requiredKeys: [] },
    )
    const answer = fc.record(
      {
        header: fc.record(
          { clusterId: fc.bigInt(0n, (1n << 64n) - 1n), revision: int64 },
          { requiredKeys: [] },
        ),
        created: fc.boolean(),
        canceled: fc.constantFrom(false, false, false, true),
        compactRevision: fc.constantFrom(0n, 0n, 3n),
        cancelReason: fc.string(),
        fragment: fc.boolean(),
        events: fc.array(fc.record({ type: fc.constantFrom(0, 1, 7), kv }, { requiredKeys: [] }), {
          maxLength: 3,
        }),
      },
      { requiredKeys: [] },
    )
    const frame = fc.oneof(
      { weight: 8, arbitrary: answer.map((a) => frameOf(a as Answer)) },
      { weight: 1, arbitrary: bytes.map((b) => encodeFrame(b)) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 6 }), async (frames) => {
        const result = await outcome(frames)
        expect(result.error.message).toMatch(/^etcd at .*: Watch: .*; .{20,}/s)
        for (const { events } of result.batches)
          for (const event of events) expect(['put', 'delete']).toContain(event.kind)
      }),
      { numRuns: 100 },
    )
  }, 60_000)
})
