// gRPC over HTTP/2 as clients in the wild speak it, and as nobody should.
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { create, toBinary } from '@bufbuild/protobuf'
import { connect as connectTcp } from 'node:net'
import { KV, Watch } from '../../../../test/support/etcd-api.ts'
import { EtcdServer } from '../../../../test/support/etcd.ts'
import { residentMebibytes } from '../../../../test/support/process.ts'
import { answerOf, RawGrpc } from '../../../../test/support/raw-grpc.ts'
import { Channel } from '../../etcd/channel.ts'
import { encodeFrame } from '../../etcd/frame.ts'
import { PutRequestSchema, TxnRequestSchema, type TxnRequest } from '../gen/etcdserverpb/rpc_pb.ts'

const PUT = '/etcdserverpb.KV/Put'
const soon = (): AbortSignal => AbortSignal.timeout(20_000)
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
const putFrame = (key: string, value: Uint8Array = bytes('v')): Uint8Array =>
  encodeFrame(toBinary(PutRequestSchema, create(PutRequestSchema, { key: bytes(key), value })))

let server: EtcdServer
beforeAll(async () => {
  server = await EtcdServer.start('embedded', { inMemory: true })
})
afterAll(() => server[Symbol.asyncDispose]())

async function countOf(key: string): Promise<bigint> {
  using channel = new Channel({ endpoints: [server.endpoint] })
  return (await channel.unary(KV.range, { key: bytes(key), countOnly: true }, soon())).count
}

test('a truncated frame is refused by name and changes nothing, wherever it is cut', async () => {
  using grpc = new RawGrpc(server.endpoint)
  const frame = putFrame('truncated')
  for (const length of [1, 4, 5, frame.byteLength - 1]) {
    const answer = await grpc.call(PUT, frame.subarray(0, length))
    expect(answer).toMatchObject({ httpStatus: 200, status: '13', trailersOnly: true })
    expect(answer.message).toContain('gRPC stream ended inside a')
  }
  expect(await countOf('truncated')).toBe(0n)
})

test('a frame cut off by a reset stream, or by the end of the connection, changes nothing', async () => {
  {
    using grpc = new RawGrpc(server.endpoint)
    const stream = grpc.open(PUT)
    stream.write(putFrame('cut').subarray(0, 7))
    await new Promise((resolve) => setTimeout(resolve, 50))
    stream.close(8)
    const other = grpc.open(PUT)
    other.write(putFrame('cut').subarray(0, 7))
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  expect(await countOf('cut')).toBe(0n)
})

test('what is no message is refused by name', async () => {
  using grpc = new RawGrpc(server.endpoint)
  const compressed = putFrame('x')
  compressed[0] = 1
  const cases: [Uint8Array, Record<string, string>, string, RegExp][] = [
    [compressed, {}, '13', /compressed, and no compression was agreed on/],
    [bytes('GET / HTTP/1.1'), {}, '13', /flag 71/],
    [encodeFrame(bytes('\xff\xff\xff\xff\xff')), {}, '13', /heddle store: /],
    [new Uint8Array(0), {}, '13', /takes one message, 0 came/],
    [new Uint8Array([...putFrame('x'), ...putFrame('y')]), {}, '13', /takes one message, 2 came/],
    [new Uint8Array([0, 0xff, 0xff, 0xff, 0xff]), {}, '8', /4294967295 bytes is larger than the 2097152/],
    [putFrame('x'), { 'grpc-encoding': 'gzip' }, '12', /compressed by gzip/],
  ]
  for (const [body, headers, status, message] of cases) {
    const answer = await grpc.call(PUT, body, headers)
    expect(answer.message).toMatch(message)
    expect(answer.status).toBe(status)
  }
  expect(await countOf('x')).toBe(0n)
})

test('a call that this store does not serve is answered UNIMPLEMENTED in the headers alone', async () => {
  using grpc = new RawGrpc(server.endpoint)
  for (const [name, why] of [
    ['MoveLeader', "this store doesn't serve /etcdserverpb.Maintenance/MoveLeader"],
    [
      'Snapshot',
      "this store has no snapshots in etcd's format: run `heddle store backup FILE` on its machine",
    ],
    ['HashKV', 'this store has no other members whose hash could differ'],
  ] as const) {
    const answer = await grpc.call(`/etcdserverpb.Maintenance/${name}`, encodeFrame(new Uint8Array(0)))
    expect(answer).toMatchObject({ status: '12', trailersOnly: true, message: why })
  }
  const web = await grpc.call('/health', new Uint8Array(0), { 'content-type': 'text/plain' })
  expect(web).toMatchObject({ httpStatus: 415, status: undefined })
})

test('a refused message that is still being sent does not block the connection', async () => {
  using grpc = new RawGrpc(server.endpoint)
  const huge = grpc.open(PUT)
  const answer = answerOf(huge)
  huge.write(new Uint8Array([0, 0, 0x7f, 0xff, 0xff]))
  for (let sent = 0; sent < 80; sent++) huge.write(new Uint8Array(100_000))
  huge.end()
  expect((await answer).status).toBe('8')
  const next = await grpc.call(PUT, putFrame('after the refused one'))
  expect(next.status).toBe('0')
})

test('a transaction nested without end is refused and the store goes on', async () => {
  let nested: TxnRequest = create(TxnRequestSchema, {})
  for (let depth = 0; depth < 40; depth++) {
    nested = create(TxnRequestSchema, { success: [{ request: { case: 'requestTxn', value: nested } }] })
  }
  using channel = new Channel({ endpoints: [server.endpoint] })
  expect((await channel.unary(KV.txn, nested, soon())).succeeded).toBe(true)
  // 70,000 levels: encoded by hand, as no encoder goes so deep.
  let body: Uint8Array[] = []
  let length = 0
  for (let depth = 0; depth < 70_000; depth++) {
    const inner = varint(length)
    const op = [0x22, ...inner]
    const outer = [0x12, ...varint(length + op.length)]
    body.push(new Uint8Array([...outer, ...op]))
    length += op.length + outer.length
  }
  body = body.toReversed()
  using grpc = new RawGrpc(server.endpoint)
  const answer = await grpc.call('/etcdserverpb.KV/Txn', encodeFrame(...body))
  expect(Number(answer.status)).toBeGreaterThan(0)
  expect((await grpc.call(PUT, putFrame('after the deep one'))).status).toBe('0')
})

function varint(value: number): number[] {
  const groups: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...groups, rest]
    groups.push((rest % 128) | 0x80)
  }
}

test('HTTP/1 and noise on the port are cut off and the store goes on', async () => {
  for (const noise of ['GET /health HTTP/1.1\r\nHost: x\r\n\r\n', '\0\xff'.repeat(1000)]) {
    const socket = connectTcp(server.port, '127.0.0.1')
    socket.on('error', () => undefined)
    const closed = new Promise((resolve) => socket.on('close', resolve))
    socket.end(noise, 'latin1')
    socket.resume()
    await closed
  }
  expect(await countOf('nothing')).toBe(0n)
})

test('values of 1 MB go in and come out, many at once on one connection', async () => {
  using grpc = new RawGrpc(server.endpoint)
  using channel = new Channel({ endpoints: [server.endpoint] })
  const values = Array.from({ length: 12 }, (_, index) => new Uint8Array(1_000_000).fill(index))
  const answers = await Promise.all(
    values.map((value, index) => grpc.call(PUT, putFrame(`mb/${index}`, value))),
  )
  expect(answers.map(({ status }) => status)).toEqual(values.map(() => '0'))
  const all = await channel.unary(
    KV.range,
    { key: bytes('mb/'), rangeEnd: bytes('mb0'), sortOrder: 1, sortTarget: 2 },
    soon(),
  )
  expect(all.kvs).toHaveLength(12)
  for (const { key, value } of all.kvs) {
    const index = Number(Buffer.from(key).toString().slice(3))
    expect(value.byteLength === 1_000_000 && value.every((byte) => byte === index)).toBe(true)
  }
})

test('500 calls at once on one connection are all answered', async () => {
  using channel = new Channel({ endpoints: [server.endpoint] })
  const answers = await Promise.all(
    Array.from({ length: 500 }, (_, index) =>
      channel.unary(KV.put, { key: bytes(`many/${index}`), value: bytes(`${index}`) }, soon()),
    ),
  )
  expect(new Set(answers.map(({ header }) => header?.revision)).size).toBe(500)
  const count = await channel.unary(
    KV.range,
    { key: bytes('many/'), rangeEnd: bytes('many0'), countOnly: true },
    soon(),
  )
  expect(count.count).toBe(500n)
})

test('pings are answered', async () => {
  using grpc = new RawGrpc(server.endpoint)
  for (let count = 0; count < 5; count++) {
    const answered = await new Promise((resolve) =>
      grpc.session.ping((error: unknown) => resolve(error === null)),
    )
    expect(answered).toBe(true)
  }
})

test('a watcher that reads nothing costs bounded memory and misses nothing once it reads', async () => {
  using channel = new Channel({ endpoints: [server.endpoint] })
  using watch = await channel.stream(Watch.watch, {}, soon())
  watch.send({
    requestUnion: { case: 'createRequest', value: { key: bytes('flood/'), rangeEnd: bytes('flood0') } },
  })
  const messages = watch.messages()
  await messages.next()
  using writer = new Channel({ endpoints: [server.endpoint] })
  const put = (index: number) =>
    writer.unary(KV.put, { key: bytes(`flood/${index}`), value: new Uint8Array(200_000).fill(index) }, soon())
  await put(0)
  const before = residentMebibytes(server.pid)
  for (let index = 1; index < 400; index++) await put(index)
  expect(residentMebibytes(server.pid) - before).toBeLessThan(40)
  let seen = 0
  while (seen < 400) {
    const { value } = await messages.next()
    for (const { kv } of value?.events ?? [])
      expect(Buffer.from(kv?.key ?? []).toString()).toBe(`flood/${seen++}`)
  }
}, 60_000)
