// Users, roles and TLS, against the real etcd: what the contract suite has no need of.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EtcdServer } from '../../../test/support/etcd.ts'
import { Collector, leaseKey, leaseValue, PREFIX, wishOf } from '../../../test/support/store-world.ts'
import { StoreError } from '../store.ts'
import { Channel, type ChannelOptions } from './channel.ts'
import { put, read, oneKey, transact } from './kv.ts'
import { EtcdStore } from './store.ts'

const CONFIG = { Network: '10.3.0.0/16', Backend: { Type: 'vxlan' } }
const never = new AbortController().signal
const storeOf = (options: ChannelOptions): EtcdStore =>
  new EtcdStore({ prefix: PREFIX, renewMarginMinutes: 60, ...options })
const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.then(
    () => expect.unreachable('it worked'),
    (e: unknown) => e,
  )
  return error instanceof StoreError ? error.code : expect.unreachable(String(error))
}

describe('an etcd that asks for a user', () => {
  let server: EtcdServer
  const etcdctl = (...args: string[]) =>
    execFileSync('etcdctl', [`--endpoints=${server.endpoint}`, ...args], {
      env: { ...process.env, ETCDCTL_API: '3' },
      stdio: 'pipe',
    })
  beforeAll(async () => {
    server = await EtcdServer.start('etcd', { inMemory: true })
    etcdctl('user', 'add', 'root:secret')
    etcdctl('user', 'add', 'flannel:pass')
    etcdctl('user', 'add', 'other:pass')
    etcdctl('role', 'add', 'network')
    etcdctl('role', 'grant-permission', 'network', 'readwrite', '--prefix=true', PREFIX)
    etcdctl('user', 'grant-role', 'flannel', 'network')
    etcdctl('user', 'grant-role', 'root', 'root')
    etcdctl('auth', 'enable')
  })
  afterAll(() => server[Symbol.asyncDispose]())

  test('serves one that may, leases, watches and all, also after it has forgotten the login', async () => {
    await using store = storeOf({ endpoints: [server.endpoint], user: { name: 'flannel', password: 'pass' } })
    const stop = new AbortController()
    const leases = new Collector(store.leases(stop.signal))
    await leases.until(({ kind }) => kind === 'snapshot')
    const own = await store.acquire(wishOf('1.2.3.4', CONFIG), stop.signal)
    await leases.until(({ kind }) => kind === 'put')
    // Simple tokens live in memory only.
    await server.restart()
    await own.update(
      { ...wishOf('1.2.3.4', CONFIG, { backendData: { VNI: 5 } }).attributes(undefined) },
      stop.signal,
    )
    await leases.until(
      (event) => event.kind === 'put' && JSON.stringify(event.lease.ipv4).includes('"VNI":5'),
    )
    stop.abort()
    await own[Symbol.asyncDispose]()
  }, 30_000)

  test.each([
    ['no user', undefined],
    ['a wrong password', { name: 'flannel', password: 'wrong' }],
    ['an unknown user', { name: 'nobody', password: 'pass' }],
    ['a user without rights on the prefix', { name: 'other', password: 'pass' }],
  ])('refuses %s, in so many words', async (_, user) => {
    await using store = storeOf({ endpoints: [server.endpoint], ...(user && { user }) })
    expect(await codeOf(store.acquire(wishOf('1.2.3.5', CONFIG), never))).toBe('auth')
  })

  test('a follower that may not is in trouble until it may', async () => {
    const reports: (string | undefined)[] = []
    await using store = new EtcdStore({
      endpoints: [server.endpoint],
      prefix: PREFIX,
      renewMarginMinutes: 60,
      user: { name: 'other', password: 'pass' },
      report: (error) => reports.push(error?.code),
    })
    const leases = new Collector(store.leases(never))
    while (reports.length === 0) await Bun.sleep(10)
    expect(reports).toStrictEqual(['auth'])
    etcdctl('--user=root:secret', 'user', 'grant-role', 'other', 'network')
    await leases.until(({ kind }) => kind === 'snapshot')
    while (store.troubles.size > 0) await Bun.sleep(10)
    expect(reports).toStrictEqual(['auth', undefined])
  }, 20_000)
})

describe('an etcd behind TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-test-tls-'))
  const file = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  const material = (name: string) => async () => ({
    ca: await readFile(file('ca.pem')),
    cert: await readFile(file(`${name}.pem`)),
    key: await readFile(file(`${name}.key`)),
  })
  let server: EtcdServer
  let endpoint: string

  beforeAll(async () => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    const ca = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-days', '2']
    openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=ca')
    openssl(
      'req',
      '-x509',
      ...key,
      '-keyout',
      'stranger.key',
      '-out',
      'stranger.pem',
      '-days',
      '2',
      '-subj',
      '/CN=x',
    )
    for (const name of ['server', 'client']) {
      const san = ['-addext', 'subjectAltName=IP:127.0.0.1', '-addext', 'basicConstraints=critical,CA:FALSE']
      openssl(
        'req',
        '-x509',
        ...key,
        ...ca,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.pem`,
        '-subj',
        `/CN=${name}`,
        ...san,
      )
    }
    server = await EtcdServer.start('etcd', { inMemory: true })
    await server.process.end('SIGTERM')
    const port = server.port
    await server[Symbol.asyncDispose]()
    endpoint = `https://127.0.0.1:${port}`
    const files = ['--cert-file', file('server.pem'), '--key-file', file('server.key')]
    const clients = ['--client-cert-auth', '--trusted-ca-file', file('ca.pem')]
    // The last of two equal flags counts.
    server = await EtcdServer.start('etcd', {
      inMemory: true,
      flags: [...files, ...clients, '--listen-client-urls', endpoint, '--advertise-client-urls', endpoint],
    })
  })
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  test('is talked to with the certificates given', async () => {
    using channel = new Channel({ endpoints: [endpoint], tls: material('client') })
    await transact(channel, [], [put(leaseKey('10.3.1.0-24'), leaseValue('1.1.1.1'), 0n)], never)
    expect((await read(channel, oneKey(leaseKey('10.3.1.0-24')), never)).keys.length).toBe(1)
  })

  test.each([
    ['no certificates at all', undefined],
    ['no certificate of its own', async () => ({ ca: await readFile(file('ca.pem')) })],
    ['a certificate of another CA', async () => ({ ...(await material('stranger')()) })],
    [
      'another CA for the server',
      async () => ({ ...(await material('client')()), ca: await readFile(file('stranger.pem')) }),
    ],
  ])('is not reached with %s, which is said', async (_, tls) => {
    using channel = new Channel({ endpoints: [endpoint], deadlineMs: 2_000, ...(tls && { tls }) })
    const error: unknown = await read(channel, oneKey('x'), never).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'unavailable' })
    expect(String(error)).toMatch(/connecting: .*certificate/i)
  })
})
