// Users of the embedded store in use: by our own client, by certificates, across restarts, and what is kept of them.
import { expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Authority } from '../../../../test/support/authority.ts'
import { Auth, KV, Lease } from '../../../../test/support/etcd-api.ts'
import { EtcdServer } from '../../../../test/support/etcd.ts'
import { eventually } from '../../../../test/support/process.ts'
import { Collector, PREFIX, wishOf } from '../../../../test/support/store-world.ts'
import { materialOf, TlsFolder } from '../../../../test/support/tls-files.ts'
import { TestWatch } from '../../../../test/support/watch.ts'
import { Channel, type ChannelOptions } from '../../etcd/channel.ts'
import { EtcdStore } from '../../etcd/store.ts'
import { Permission_Type } from '../gen/authpb/auth_pb.ts'

const CONFIG = { Network: '10.3.0.0/16', Backend: { Type: 'vxlan' } }
const ROOT = { name: 'root', password: 'root-geheim' }
const FLANNEL = { name: 'flannel', password: 'flannel-geheim' }
const soon = (): AbortSignal => AbortSignal.timeout(20_000)
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
const channelTo = (server: EtcdServer, options: Partial<ChannelOptions> = {}): Channel =>
  new Channel({ endpoints: [server.endpoint], ...options })
const refusalOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: unknown) => (error instanceof Error && 'detail' in error ? String(error.detail) : String(error)),
  )

/** Role `network` for what flannel keeps, user `flannel` who has it and nothing else, and users enabled. */
async function enableUsers(server: EtcdServer, options: Partial<ChannelOptions> = {}): Promise<void> {
  using channel = channelTo(server, options)
  for (const user of [ROOT, FLANNEL]) await channel.unary(Auth.userAdd, user, soon())
  await channel.unary(Auth.roleAdd, { name: 'network' }, soon())
  const perm = {
    permType: Permission_Type.READWRITE,
    key: bytes(PREFIX),
    rangeEnd: bytes(PREFIX.replace(/k$/, 'l')),
  }
  await channel.unary(Auth.roleGrantPermission, { name: 'network', perm }, soon())
  await channel.unary(Auth.userGrantRole, { user: 'flannel', role: 'network' }, soon())
  await channel.unary(Auth.userGrantRole, { user: 'root', role: 'root' }, soon())
  await channel.unary(Auth.authEnable, {}, soon())
}

test('our client leases and watches as its user, also after a restart has ended all logins', async () => {
  await using server = await EtcdServer.start('embedded')
  await enableUsers(server)
  await using store = new EtcdStore({
    endpoints: [server.endpoint],
    prefix: PREFIX,
    renewMarginMinutes: 60,
    user: FLANNEL,
  })
  const stop = new AbortController()
  const leases = new Collector(store.leases(stop.signal))
  await leases.until(({ kind }) => kind === 'snapshot')
  const own = await store.acquire(wishOf('1.2.3.4', CONFIG), stop.signal)
  await leases.until(({ kind }) => kind === 'put')
  await server.restart()
  await own.update(wishOf('1.2.3.4', CONFIG, { backendData: { VNI: 5 } }).attributes(undefined), stop.signal)
  await leases.until((event) => event.kind === 'put' && JSON.stringify(event.lease.ipv4).includes('"VNI":5'))
  stop.abort()
  await own[Symbol.asyncDispose]()
}, 60_000)

test('users, roles and the switch outlive a kill; passwords are in no file and no line of the log', async () => {
  await using server = await EtcdServer.start('embedded')
  await enableUsers(server)
  const process = server.process
  await server.kill()
  await server.up()
  using nobody = channelTo(server)
  using flannel = channelTo(server, { user: FLANNEL })
  using wrong = channelTo(server, { user: { ...FLANNEL, password: 'x' } })
  const get = (channel: Channel, key: string) =>
    refusalOf(channel.unary(KV.range, { key: bytes(key) }, soon()))
  expect(await get(nobody, `${PREFIX}/config`)).toBe('etcdserver: user name is empty')
  expect(await get(flannel, `${PREFIX}/config`)).toBe('done')
  expect(await get(flannel, 'elsewhere')).toBe('etcdserver: permission denied')
  expect(await get(wrong, `${PREFIX}/config`)).toContain('invalid user ID or password')
  await server.process.line(/refused to log in "flannel": no such user, or another password/)
  for (const name of readdirSync(server.folder).filter((file) => file.startsWith('store.db'))) {
    expect(readFileSync(join(server.folder, name), 'latin1')).not.toContain('geheim')
  }
  const said = [...process.lines, ...server.process.lines].join('\n')
  expect(said).toContain('added user flannel')
  expect(said).toContain('users are enabled')
  expect(said).not.toContain('geheim')
}, 60_000)

test('a login that is not used ends, one that is used goes on', async () => {
  await using server = await EtcdServer.start('embedded', {
    inMemory: true,
    flags: ['--auth-token-ttl', '2'],
  })
  await enableUsers(server)
  using channel = channelTo(server)
  const login = async () => (await channel.unary(Auth.authenticate, FLANNEL, soon())).token
  const [used, idle] = [await login(), await login()]
  expect(used).toMatch(/^[a-zA-Z]{32}\.\d+$/)
  const get = async (token: string) => {
    using call = await channel.stream(KV.range, { token }, soon())
    call.send({ key: bytes(`${PREFIX}/config`) })
    call.end()
    return await refusalOf(call.messages().next())
  }
  for (let round = 0; round < 5; round++) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(await get(used)).toBe('done')
  }
  expect(await get(idle)).toBe('etcdserver: invalid auth token')
})

test('a certificate names its user; a token goes before it, and who may come without one has to log in', async () => {
  using folder = new TlsFolder()
  const authority = new Authority('ca')
  const ca = folder.put('ca.pem', authority.cert)
  const issue = (name: string) => folder.write(name, authority.issue({ name, hosts: ['127.0.0.1'] }))
  const tls = { ...issue('server'), clientCa: ca }
  const [asFlannel, asRoot, asOther] = ['flannel', 'root', 'other'].map(issue)
  await using server = await EtcdServer.start('embedded', {
    inMemory: true,
    tls,
    flags: ['--client-cert-optional'],
  })
  await enableUsers(server, { tls: materialOf(ca, asRoot) })
  const put = async (options: Partial<ChannelOptions>, key: string) => {
    using channel = channelTo(server, options)
    return await refusalOf(channel.unary(KV.put, { key: bytes(key), value: bytes('x') }, soon()))
  }
  const own = `${PREFIX}/subnets/10.3.1.0-24`
  expect(await put({ tls: materialOf(ca, asFlannel) }, own)).toBe('done')
  expect(await put({ tls: materialOf(ca, asFlannel) }, 'elsewhere')).toBe('etcdserver: permission denied')
  expect(await put({ tls: materialOf(ca, asRoot) }, 'elsewhere')).toBe('done')
  expect(await put({ tls: materialOf(ca, asOther) }, own)).toBe('etcdserver: permission denied')
  expect(await put({ tls: materialOf(ca, asRoot), user: FLANNEL }, 'elsewhere')).toBe(
    'etcdserver: permission denied',
  )
  expect(await put({ tls: materialOf(ca) }, own)).toBe('etcdserver: user name is empty')
  expect(await put({ tls: materialOf(ca), user: FLANNEL }, own)).toBe('done')
}, 60_000)

test('what is taken from a user it can no longer do, not even by a login from before', async () => {
  await using server = await EtcdServer.start('embedded', { inMemory: true })
  await enableUsers(server)
  using root = channelTo(server, { user: ROOT })
  using flannel = channelTo(server, { user: FLANNEL })
  const { ID } = await flannel.unary(Lease.leaseGrant, { TTL: 100n }, soon())
  const put = () =>
    refusalOf(flannel.unary(KV.put, { key: bytes(`${PREFIX}/x`), value: bytes(''), lease: ID }, soon()))
  expect(await put()).toBe('done')
  await root.unary(Auth.userRevokeRole, { name: 'flannel', role: 'network' }, soon())
  expect(await put()).toBe('etcdserver: permission denied')
  expect(await refusalOf(flannel.unary(Lease.leaseRevoke, { ID }, soon()))).toBe(
    'etcdserver: permission denied',
  )
  using renewal = await flannel.stream(Lease.leaseKeepAlive, {}, soon())
  renewal.send({ ID })
  expect(await refusalOf(renewal.messages().next())).toBe('etcdserver: permission denied')
  await root.unary(Auth.userDelete, { name: 'flannel' }, soon())
  expect(await put()).toContain('invalid user ID or password')
  // The lease still ends by itself, with its keys.
  await root.unary(Lease.leaseRevoke, { ID }, soon())
  await eventually('the key is gone', async () => {
    const { count } = await root.unary(KV.range, { key: bytes(`${PREFIX}/x`) }, soon())
    return count === 0n ? true : undefined
  })
}, 60_000)

test('a watch that may not be is cancelled, and the others of its call go on', async () => {
  await using server = await EtcdServer.start('embedded', { inMemory: true })
  await enableUsers(server)
  using watch = await TestWatch.open(server.endpoint, {}, { user: FLANNEL })
  watch.create({ key: bytes(PREFIX), rangeEnd: bytes('\0') })
  watch.create({ key: bytes(`${PREFIX}/x`) })
  expect(await watch.next()).toMatchObject({
    watchId: -1n,
    created: true,
    canceled: true,
    cancelReason: 'rpc error: code = PermissionDenied desc = etcdserver: permission denied',
  })
  expect(await watch.next()).toMatchObject({ watchId: 0n, created: true, canceled: false })
  using flannel = channelTo(server, { user: FLANNEL })
  await flannel.unary(KV.put, { key: bytes(`${PREFIX}/x`), value: bytes('1') }, soon())
  expect((await watch.next())?.events).toHaveLength(1)
})
