// TLS to a real etcd: certificates that are good, missing, foreign, for another host; and what of them is in use.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Authority } from '../../../test/support/authority.ts'
import { EtcdServer } from '../../../test/support/etcd.ts'
import { serveBytes } from '../../../test/support/grpc-server.ts'
import { TlsFolder } from '../../../test/support/tls-files.ts'
import { leaseKey, leaseValue } from '../../../test/support/store-world.ts'
import { requireUsable, type TlsMaterial } from './certificates.ts'
import { Channel } from './channel.ts'
import { oneKey, put, read, transact } from './kv.ts'

const DAY_MS = 24 * 3600 * 1000
const never = new AbortController().signal
const root = new Authority('root')
const middle = root.below('middle', { notAfter: new Date('2040-03-02T10:00:00Z') })
const stranger = new Authority('stranger')
const hosts = ['127.0.0.1']

describe('an etcd behind TLS', () => {
  const folder = new TlsFolder()
  const material = (files: TlsMaterial) => () => Promise.resolve(files)
  const client = root.issue({ name: 'client', notAfter: new Date('2041-01-01T00:00:00Z') })
  let server: EtcdServer

  beforeAll(async () => {
    const files = folder.write('server', middle.issue({ name: 'server', hosts }))
    server = await EtcdServer.start('etcd', {
      inMemory: true,
      tls: { ...files, clientCa: folder.put('clients.pem', root.cert) },
    })
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    folder[Symbol.dispose]()
  })

  test('is talked to with the certificates given', async () => {
    using channel = new Channel({ endpoints: [server.endpoint], tls: material({ ca: root.cert, ...client }) })
    await transact(channel, [], [put(leaseKey('10.3.1.0-24'), leaseValue('1.1.1.1'), 0n)], never)
    expect((await read(channel, oneKey(leaseKey('10.3.1.0-24')), never)).keys.length).toBe(1)
  })

  test('tells the certificates in use, ours and those that it presents', async () => {
    const files = { ca: root.cert + stranger.cert, ...client, names: { ca: '/etc/ca.pem' } }
    using channel = new Channel({ endpoints: [server.endpoint], tls: material(files) })
    expect(await channel.certificates()).toEqual([])
    const inAYear = Date.now() + 365 * DAY_MS
    await read(channel, oneKey('x'), never)
    const told = (await channel.certificates()).map(({ from, subject, notAfter }) => {
      const end = notAfter.getTime() < inAYear ? 'soon' : notAfter.toISOString()
      return [from, subject, end]
    })
    expect(told).toEqual([
      ['/etc/ca.pem', 'CN=root', 'soon'],
      ['/etc/ca.pem', 'CN=stranger', 'soon'],
      ['the client certificate', 'CN=client', '2041-01-01T00:00:00.000Z'],
      [server.endpoint, 'CN=server', 'soon'],
      [server.endpoint, 'CN=middle', '2040-03-02T10:00:00.000Z'],
    ])
    const serials = (await channel.certificates()).map(({ serial }) => serial)
    expect(new Set(serials.map((serial) => /^[0-9A-F]{2,}$/.test(serial)))).toEqual(new Set([true]))
    expect(new Set(serials).size).toBe(5)
  })

  test.each<[string, TlsMaterial | undefined]>([
    ['no certificates at all', undefined],
    ['no certificate of its own', { ca: root.cert }],
    ['a certificate of another CA', { ca: root.cert, ...stranger.issue({ name: 'client' }) }],
    [
      'a certificate that has expired',
      { ca: root.cert, ...root.issue({ name: 'client', notAfter: new Date(Date.now() - 1000) }) },
    ],
    ['another CA for the server', { ca: stranger.cert, ...client }],
  ])('is not reached with %s, which is said', async (_, files) => {
    const tls = files && { tls: material(files) }
    using channel = new Channel({ endpoints: [server.endpoint], deadlineMs: 2_000, ...tls })
    const error: unknown = await read(channel, oneKey('x'), never).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'unavailable' })
    expect(String(error)).toMatch(/connecting: .*certificate/i)
  })

  test('is not taken for one that it has no certificate for', async () => {
    const endpoint = server.endpoint.replace('127.0.0.1', 'localhost')
    using channel = new Channel({ endpoints: [endpoint], tls: material({ ca: root.cert, ...client }) })
    const error: unknown = await read(channel, oneKey('x'), never).catch((e: unknown) => e)
    expect(String(error)).toMatch(/does not match certificate's altnames/)
  })
})

test('weak point 44: a CA alone is enough for an etcd that asks no certificate of its clients, and it is looked at', async () => {
  using folder = new TlsFolder()
  const tls = folder.write('server', root.issue({ name: 'server', hosts }))
  await using server = await EtcdServer.start('etcd', { inMemory: true, tls })
  const ask = async (ca: string) => {
    using channel = new Channel({
      endpoints: [server.endpoint],
      deadlineMs: 2_000,
      tls: () => Promise.resolve({ ca }),
    })
    return await read(channel, oneKey('x'), never).then(
      ({ keys }) => keys.length,
      (error: unknown) => String(error),
    )
  }
  expect(await ask(root.cert)).toBe(0)
  expect(await ask(stranger.cert)).toMatch(/connecting: .*certificate/i)
})

test('TLS 1.2 and 1.3 are offered, and nothing older', async () => {
  const hello = Promise.withResolvers<Buffer>()
  using server = await serveBytes((socket) => socket.once('data', (bytes) => hello.resolve(bytes)))
  const endpoint = server.endpoint.replace('http:', 'https:')
  using channel = new Channel({
    endpoints: [endpoint],
    deadlineMs: 500,
    tls: () => Promise.resolve({ ca: root.cert }),
  })
  const failed = read(channel, oneKey('x'), never).catch((error: unknown) => error)
  // supported_versions, RFC 8446 §4.2.1: its number, its length, the length of the list, the list.
  const offered = /002b....(..)((?:0[0-9a-f]{3}|[0-9a-f]a[0-9a-f]a)+)/.exec(
    (await hello.promise).toString('hex'),
  )
  const versions = offered?.[2]?.slice(0, 2 * parseInt(offered[1] ?? '', 16)).match(/..../g) ?? []
  expect(versions.filter((version) => !/^(.a)\1$/.test(version)).toSorted()).toEqual(['0303', '0304'])
  expect(String(await failed)).toContain('connecting')
})

describe('TLS files', () => {
  const good = { ca: root.cert, ...root.issue({ name: 'client' }) }
  const names = { ca: 'ca.pem', cert: 'client.pem', key: 'client.key' }

  test('that are good are used, with whatever text is around the certificates', () => {
    requireUsable(good)
    requireUsable({ ca: Buffer.from(`# root\n${root.cert}\n# another\n${stranger.cert}`) })
    requireUsable({})
  })

  test.each<[string, TlsMaterial, string]>([
    ['an empty CA', { ...good, ca: '' }, 'ca.pem holds no certificate in PEM form'],
    ['a CA that is none', { ...good, ca: 'hello' }, 'ca.pem holds no certificate in PEM form'],
    ['a CA cut off', { ...good, ca: root.cert.slice(0, 300) }, 'ca.pem holds no certificate in PEM form'],
    [
      'a bundle cut off',
      { ...good, ca: root.cert + stranger.cert.slice(0, 300) },
      'ca.pem is cut off within a certificate',
    ],
    [
      'a certificate of noise',
      { ...good, cert: good.cert.replace(/M[^-]{40}/, 'AAAA') },
      "client.pem holds a certificate that can't be read",
    ],
    ['an empty certificate', { ...good, cert: '' }, 'client.pem holds no certificate in PEM form'],
    [
      'an empty key',
      { ...good, key: '' },
      'client.key and client.pem go together: one of them is missing or empty',
    ],
    [
      'no key',
      { ca: good.ca, cert: good.cert },
      'client.key and client.pem go together: one of them is missing or empty',
    ],
    ['a key cut off', { ...good, key: good.key.slice(0, 60) }, 'client.key: error:'],
    [
      'another key',
      { ...good, key: root.issue({ name: 'x' }).key },
      "client.key doesn't belong to client.pem",
    ],
  ])('with %s are refused with a sentence', (_, files, sentence) => {
    expect(() => requireUsable({ ...files, names })).toThrow(sentence)
  })
})
