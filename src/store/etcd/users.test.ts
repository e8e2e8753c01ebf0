// Users and roles, against the real etcd: what the contract suite has no need of.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { execFileSync } from 'node:child_process'
import { EtcdServer } from '../../../test/support/etcd.ts'
import { Collector, PREFIX, wishOf } from '../../../test/support/store-world.ts'
import { StoreError } from '../store.ts'
import type { ChannelOptions } from './channel.ts'
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
  }, 60_000)

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
  }, 60_000)
})
