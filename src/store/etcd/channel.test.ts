// The channel against servers that misbehave in every way a server, a proxy or a cut line can.
import { afterEach, describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { create, toBinary } from '@bufbuild/protobuf'
import type { Socket } from 'node:net'
import {
  GRPC,
  nobodyListens,
  refuse,
  respond,
  serveBytes,
  serveGrpc,
  type Served,
} from '../../../test/support/grpc-server.ts'
import { RangeResponseSchema, WatchResponseSchema } from '../embedded/gen/etcdserverpb/rpc_pb.ts'
import { StoreError } from '../store.ts'
import { Channel, type ChannelOptions } from './channel.ts'
import { EtcdError } from './error.ts'
import { encodeFrame } from './frame.ts'
import { oneKey, read } from './kv.ts'
import { watchKeys } from './methods.ts'
import type { TlsMaterial } from './certificates.ts'
import { Superseded } from './session.ts'

const opened: Disposable[] = []
afterEach(() => {
  for (const one of opened.splice(0).reverse()) one[Symbol.dispose]()
})

type Behaviour = Parameters<typeof serveGrpc>[0]
const kept = <T extends Disposable>(one: T): T => {
  opened.push(one)
  return one
}
const serve = async (behaviour: Behaviour): Promise<Served> => kept(await serveGrpc(behaviour))
const serveRaw = async (behaviour: Parameters<typeof serveBytes>[0]): Promise<string> =>
  kept(await serveBytes(behaviour)).endpoint

const channel = (endpoints: string | string[], more: Partial<ChannelOptions> = {}): Channel => {
  const one = new Channel({ endpoints: [endpoints].flat(), deadlineMs: 2_000, ...more })
  opened.push(one)
  return one
}
const never = () => new AbortController().signal
const ask = (c: Channel, signal = never()) => read(c, oneKey('k'), signal)
/** What it fails with; it must. (`expect().rejects` runs the event loop inside itself, where http2 stalls.) */
const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable('it worked'),
    (error: unknown) => error,
  )
const failure = async (promise: Promise<unknown>): Promise<EtcdError> => {
  const error = await rejection(promise)
  return error instanceof EtcdError ? error : expect.unreachable(`not an EtcdError: ${String(error)}`)
}

const revision = (n: bigint) => create(RangeResponseSchema, { header: { clusterId: 7n, revision: n } })
const answer = encodeFrame(toBinary(RangeResponseSchema, revision(42n)))
describe('a call', () => {
  test('gets its answer, however the bytes are cut', async () => {
    const { endpoint } = await serve((stream) =>
      respond(
        stream,
        [...answer].map((byte) => Uint8Array.of(byte)),
      ),
    )
    expect((await ask(channel(endpoint))).at.revision).toBe(42n)
  })

  test('gets an answer of many megabytes', async () => {
    const value = new Uint8Array(300_000).fill(65)
    const kvs = Array.from({ length: 50 }, () => ({ value }))
    const big = encodeFrame(toBinary(RangeResponseSchema, create(RangeResponseSchema, { kvs })))
    const { endpoint } = await serve((stream) => respond(stream, [big]))
    expect((await ask(channel(endpoint, { deadlineMs: 20_000 }))).keys.length).toBe(50)
  })

  const frame = (...bytes: number[]) => Uint8Array.from(bytes)
  test.each<[string, Behaviour, RegExp]>([
    ['an answer cut inside a message', (s) => respond(s, [answer.subarray(0, -1)]), /ended inside a message/],
    ['an answer cut inside a header', (s) => respond(s, [frame(0, 0, 0)]), /ended inside a frame header/],
    ['no message at all', (s) => respond(s, []), /answered without a message/],
    ['a frame that is none', (s) => respond(s, [frame(71, 69, 84, 32, 47, 10)]), /this isn't a gRPC stream/],
    ['a compressed frame', (s) => respond(s, [frame(1, 0, 0, 0, 1, 0)]), /compressed/],
    ['a frame of 4 GB', (s) => respond(s, [frame(0, 255, 255, 255, 255, 0)]), /larger than/],
    ['bytes that are no such message', (s) => respond(s, [encodeFrame(frame(255, 255, 255))]), /Range: /],
    ['no status', (s) => (s.respond(GRPC), s.end(answer)), /cut off before its end/],
    [
      'a status that is none',
      (s) => respond(s, [answer], { 'grpc-status': 'fine' }),
      /"fine", which is none/,
    ],
    ['a status of none', (s) => respond(s, [answer], { 'grpc-status': '-1' }), /"-1", which is none/],
    [
      'a web server’s answer',
      (s) => s.respond({ ':status': 404 }, { endStream: true }),
      /HTTP 404.*isn't etcd/,
    ],
    [
      'a proxy’s page',
      (s) => (s.respond({ ':status': 200, 'content-type': 'text/html' }), s.end('<html>')),
      /text\/html: this isn't etcd/,
    ],
    [
      'a reset stream',
      (s) => (s.respond(GRPC), s.write(answer), setTimeout(() => s.close(7), 20)),
      /cut off/,
    ],
    ['a destroyed connection', (s) => s.session?.destroy(), /Range|connection/],
    [
      'a GOAWAY with an error',
      (s) => (
        s.session?.goaway(11, 0, Buffer.from('too_many_pings')),
        setTimeout(() => s.session?.destroy(), 20)
      ),
      /code 11|connection/,
    ],
    ['silence', () => undefined, /no answer within 2 s/],
  ])('that meets %s fails with a sentence', async (_, behaviour, sentence) => {
    const { endpoint } = await serve(behaviour)
    const error = await failure(ask(channel(endpoint)))
    expect(error.message).toMatch(sentence)
    expect(error.message).toStartWith(`etcd at ${endpoint}: `)
    expect(error.message).toMatch(/; .{20,}$/)
    expect(error.code).toBe('unavailable')
  })

  test.each<[number, string, EtcdError['code']]>([
    [16, 'etcdserver: invalid auth token', 'auth'],
    [7, 'etcdserver: permission denied', 'auth'],
    [3, 'etcdserver: authentication failed, invalid user ID or password', 'auth'],
    [3, 'etcdserver: user name is empty', 'auth'],
    [3, 'etcdserver: key is not provided', 'invalid'],
    [8, 'etcdserver: mvcc: database space exceeded', 'full'],
    [8, 'etcdserver: too many requests', 'unavailable'],
    [11, 'etcdserver: mvcc: required revision has been compacted', 'compacted'],
    [14, 'etcdserver: no leader', 'unavailable'],
    [4, 'context deadline exceeded', 'unavailable'],
    [12, 'unknown service etcdserverpb.KV', 'invalid'],
    [77, 'who knows', 'unavailable'],
  ])('that etcd refuses with status %i, %s, is %s', async (status, message, code) => {
    const { endpoint } = await serve((stream) => refuse(stream, status, encodeURIComponent(message)))
    const error = await failure(ask(channel(endpoint)))
    expect({ code: error.code, status: error.status, detail: error.detail }).toEqual({
      code,
      status,
      detail: message,
    })
  })

  test('shows a message that can’t be decoded as it came', async () => {
    const { endpoint } = await serve((stream) => refuse(stream, 2, '100%'))
    expect((await failure(ask(channel(endpoint)))).detail).toBe('100%')
  })

  test('ends at once with its signal, and so does connecting', async () => {
    const { endpoint } = await serve(() => undefined)
    const mute = await serveRaw(() => undefined)
    for (const address of [endpoint, mute]) {
      const stop = new AbortController()
      const asked = ask(channel(address, { deadlineMs: 60_000 }), stop.signal)
      setTimeout(() => stop.abort(new Error('enough')), 50)
      expect(String(await rejection(asked))).toContain('enough')
    }
    expect(String(await rejection(ask(channel(endpoint), AbortSignal.abort(new Error('before')))))).toContain(
      'before',
    )
  })

  test('takes whatever bytes come without anything worse than a failure', async () => {
    let bytes: readonly Uint8Array[] = []
    let headers: Readonly<Record<string, string>> = {}
    const { endpoint } = await serve((stream) => respond(stream, bytes, headers))
    const c = channel(endpoint)
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(answer.length).map((n) => answer.slice(0, n)),
      fc.tuple(fc.nat(answer.length - 1), fc.nat(255)).map(([at, value]) => answer.with(at, value)),
      fc.constant(answer),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(noise, { maxLength: 4 }),
        fc.record({ 'grpc-status': fc.constantFrom('0', '0', '0', '2', '14', 'x') }, { requiredKeys: [] }),
        async (chunks, trailers) => {
          bytes = chunks
          headers = trailers
          await ask(c).then(
            () => expect(trailers['grpc-status']).toBe('0'),
            (error: unknown) => expect(error).toBeInstanceOf(EtcdError),
          )
        },
      ),
      { numRuns: 150 },
    )
  })
})

describe('connecting', () => {
  test.each([
    [['127.0.0.1:2379'], undefined, 'http://127.0.0.1:2379'],
    [['127.0.0.1:2379'], () => Promise.resolve({}), 'https://127.0.0.1:2379'],
    [['http://etcd.example:2379/'], undefined, 'http://etcd.example:2379'],
    [['https://[fd00::1]:2379'], undefined, 'https://[fd00::1]:2379'],
    [['etcd'], undefined, 'http://etcd'],
  ])('to %p begins at %p', (endpoints, tls, origin) => {
    expect(channel(endpoints, tls && { tls }).endpoint).toBe(origin)
  })

  test.each([[[]], [['']], [['http://']], [['unix:///run/etcd.sock']], [['http://a', 'not an endpoint']]])(
    'to %p is refused with a sentence',
    (endpoints) => expect(() => channel(endpoints)).toThrow(/etcd .*endpoint.*: write http:\/\/host:port/),
  )

  test('to a port where nobody listens says so', async () => {
    const endpoint = await nobodyListens()
    const error = await failure(ask(channel(endpoint)))
    expect(error.message).toContain(`etcd at ${endpoint}: connecting: `)
    expect(error.message).toContain('ECONNREFUSED')
  })

  test('weak point 44: to a server that accepts and says nothing has an end', async () => {
    const endpoint = await serveRaw(() => undefined)
    expect((await failure(ask(channel(endpoint, { deadlineMs: 300 })))).message).toContain(
      'no HTTP/2 answer within 0.3 s',
    )
  })

  test('to something that isn’t HTTP/2, or hangs up, fails', async () => {
    for (const behaviour of [
      (socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
      (socket: Socket) => socket.write(Buffer.alloc(200, 0xee)),
      (socket: Socket) => socket.destroy(),
    ]) {
      const endpoint = await serveRaw(behaviour)
      expect((await failure(ask(channel(endpoint, { deadlineMs: 500 })))).code).toBe('unavailable')
    }
  })

  test('is shared by callers that come together', async () => {
    const server = await serve((stream) => respond(stream, [answer]))
    const c = channel(server.endpoint)
    await Promise.all(Array.from({ length: 20 }, () => ask(c)))
    await ask(c)
    expect(server.connections).toBe(1)
  })

  test('goes on to the next endpoint, and stays there', async () => {
    const good = await serve((stream) => respond(stream, [answer]))
    const c = channel([await nobodyListens(), good.endpoint])
    await ask(c)
    await ask(c)
    expect(c.endpoint).toBe(good.endpoint)
    expect(good.connections).toBe(1)
  })

  test('waits for none that says nothing: the next is asked meanwhile, and the silent ones are let go', async () => {
    const hungUp: Promise<void>[] = []
    const silent = () =>
      serveRaw((socket) => {
        hungUp.push(new Promise((resolve) => socket.once('close', () => resolve()).resume()))
      })
    const good = await serve((stream) => respond(stream, [answer]))
    const c = channel([await silent(), await nobodyListens(), await silent(), good.endpoint], {
      deadlineMs: 60_000,
    })
    // Well before the 5 s that a dial may take.
    const late = Promise.withResolvers<'late'>()
    const timer = setTimeout(() => late.resolve('late'), 4_000)
    expect(await Promise.race([ask(c), late.promise])).not.toBe('late')
    clearTimeout(timer)
    expect(c.endpoint).toBe(good.endpoint)
    expect(hungUp.length).toBe(2)
    await Promise.all(hungUp)
    await ask(c)
    expect(good.connections).toBe(1)
  })

  test('names every endpoint when none answers, and what each said', async () => {
    const [a, b] = [await nobodyListens(), await nobodyListens()]
    const { message } = await failure(ask(channel([a, b])))
    expect(message).toContain(`no endpoint answers: ${a} (`)
    expect(message).toContain(`${b} (`)
  })

  test('is done again after the server went away, and elsewhere after it said it can’t serve', async () => {
    let lame = true
    const first = await serve((stream) =>
      lame ? refuse(stream, 14, 'etcdserver: no leader') : respond(stream, [answer]),
    )
    const second = await serve((stream) => {
      respond(stream, [answer])
      stream.session?.goaway(0)
    })
    const c = channel([first.endpoint, second.endpoint])
    expect((await failure(ask(c))).detail).toContain('no leader')
    lame = false
    await ask(c)
    expect([first.connections, second.connections]).toEqual([1, 1])
    await Bun.sleep(50)
    await ask(c)
    expect(first.connections).toBe(2)
  })

  test('reads the certificates anew each time, and says what is wrong with them', async () => {
    let material = (): Promise<TlsMaterial> => Promise.reject(new Error('ENOENT: /etc/ca.pem'))
    const c = channel('https://127.0.0.1:1', { tls: () => material() })
    const refusal = async () => {
      const error = await rejection(ask(c))
      return error instanceof StoreError ? [error.code, error.message] : expect.unreachable(String(error))
    }
    expect(await refusal()).toEqual([
      'unavailable',
      "the certificates for etcd can't be read: ENOENT: /etc/ca.pem; they are read again until it works",
    ])
    for (const bad of [{ ca: 'no PEM' }, { cert: 'no PEM', key: 'none' }]) {
      material = () => Promise.resolve(bad)
      expect(await refusal()).toEqual([
        'unavailable',
        expect.stringContaining("the certificates for etcd can't be used: "),
      ])
    }
    material = () => Promise.resolve({})
    expect((await refusal())[1]).toContain('ECONNREFUSED')
  })

  test('is over when the channel is closed', async () => {
    const { endpoint } = await serve((stream) => respond(stream, [answer]))
    const c = channel(endpoint)
    await ask(c)
    c[Symbol.dispose]()
    expect(String(await rejection(ask(c)))).toContain('closed')
  })
})

describe('a stream', () => {
  const text = encodeFrame(toBinary(WatchResponseSchema, create(WatchResponseSchema, {})))

  test('is read as it comes, and reset when its reader leaves', async () => {
    const closed = Promise.withResolvers<void>()
    const { endpoint } = await serve((stream) => {
      stream.respond(GRPC)
      stream.write(text)
      stream.write(text)
      stream.on('close', () => closed.resolve())
    })
    const call = await channel(endpoint).stream(watchKeys, {}, never())
    let count = 0
    for await (const _ of call.messages()) if (++count === 2) break
    await closed.promise
    expect(count).toBe(2)
  })

  test('is reset when it’s left without being read', async () => {
    const closed = Promise.withResolvers<void>()
    const { endpoint } = await serve((stream) => {
      stream.respond(GRPC)
      stream.on('close', () => closed.resolve())
    })
    {
      using call = await channel(endpoint).stream(watchKeys, {}, never())
      call.send({ kind: 'progress' })
    }
    await closed.promise
  })

  test('is begun anew elsewhere when calls had to go there: its member may not know any better', async () => {
    const first = await serve((stream, path) => {
      if (path.endsWith('Range')) return refuse(stream, 14, 'etcdserver: no leader')
      stream.respond(GRPC)
      stream.write(text)
    })
    const second = await serve((stream) => respond(stream, [answer]))
    const c = channel([first.endpoint, second.endpoint])
    const call = await c.stream(watchKeys, {}, never())
    const ended = rejection(
      (async () => {
        for await (const _ of call.messages());
      })(),
    )
    await failure(ask(c))
    await ask(c)
    expect(c.endpoint).toBe(second.endpoint)
    expect(await ended).toBeInstanceOf(Superseded)
  })

  test('fails with the signal’s reason, with what we say, and with the connection', async () => {
    const { endpoint } = await serve((stream, path) => {
      stream.respond(GRPC)
      stream.write(text)
      if (path.endsWith('Watch')) return
    })
    const read = async (end: (stop: AbortController, c: Channel) => void) => {
      const stop = new AbortController()
      const c = channel(endpoint)
      const call = await c.stream(watchKeys, {}, stop.signal)
      for await (const _ of call.messages()) end(stop, c)
    }
    expect(String(await rejection(read((stop) => stop.abort(new Error('enough')))))).toContain('enough')
    expect(String(await rejection(read((_, c) => c[Symbol.dispose]())))).toContain('closed by us')
    const call = await channel(endpoint).stream(watchKeys, {}, never())
    const reading = (async () => {
      for await (const _ of call.messages()) call.fail(new Error('stuck'))
    })()
    expect(String(await rejection(reading))).toContain('stuck')
  })
})
