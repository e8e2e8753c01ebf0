// Users against real etcds, old and new: logins that end, passwords that change, authentication switched on and off.
import { beforeAll, describe, expect, test } from 'bun:test'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildEtcd, etcd36 } from '../../../scripts/peers.ts'
import { EtcdServer } from '../../../test/support/etcd.ts'
import { Line } from '../../../test/support/line.ts'
import {
  attributes,
  Collector,
  CONFIG_KEY,
  leaseKey,
  leaseValue,
  PREFIX,
  wishOf,
} from '../../../test/support/store-world.ts'
import { StoreError } from '../store.ts'
import { EtcdError, Status } from './error.ts'
import { Login } from './login.ts'
import { EtcdStore } from './store.ts'

/** Leases begin above what the tests put in by hand. */
const CONFIG = { Network: '10.3.0.0/16', SubnetMin: '10.3.100.0', Backend: { Type: 'vxlan' } }
const PROGRAMS = [
  ['3.4', 'etcd'],
  ['3.6', etcd36],
] as const

class World implements AsyncDisposable {
  readonly server: EtcdServer
  readonly line: Line
  readonly stop = new AbortController()
  /** What the store told of its state; `heard` of every failure. */
  readonly reports: (string | undefined)[] = []
  readonly heard: StoreError[] = []
  readonly #store: EtcdStore
  #isOn = false

  private constructor(server: EtcdServer, line: Line) {
    this.server = server
    this.line = line
    this.#store = new EtcdStore({
      endpoints: [line.endpoint],
      prefix: PREFIX,
      renewMarginMinutes: 60,
      user: { name: 'flannel', password: 'pass' },
      report: (error) => this.reports.push(error?.code),
      heard: (_, error) => error && this.heard.push(error),
    })
  }

  static async start(program: string, ...flags: string[]): Promise<World> {
    const server = await EtcdServer.start('etcd', {
      inMemory: true,
      program,
      flags: ['--bcrypt-cost', '4', ...flags],
    })
    const world = new World(server, await Line.to(server.port))
    world.etcdctl('user', 'add', 'root:secret')
    world.etcdctl('user', 'grant-role', 'root', 'root')
    world.etcdctl('user', 'add', 'flannel:pass')
    world.etcdctl('role', 'add', 'network')
    world.etcdctl('role', 'grant-permission', 'network', 'readwrite', '--prefix=true', PREFIX)
    world.etcdctl('user', 'grant-role', 'flannel', 'network')
    world.etcdctl('put', CONFIG_KEY, JSON.stringify(CONFIG))
    return world
  }

  get store(): EtcdStore {
    return this.#store
  }
  get signal(): AbortSignal {
    return this.stop.signal
  }

  etcdctl(...args: string[]): string {
    const user = this.#isOn ? ['--user=root:secret'] : []
    return execFileSync('etcdctl', [`--endpoints=${this.server.endpoint}`, ...user, ...args], {
      env: { ...process.env, ETCDCTL_API: '3' },
      stdio: 'pipe',
      encoding: 'utf8',
    })
  }

  auth(on: boolean): void {
    this.etcdctl('auth', on ? 'enable' : 'disable')
    this.#isOn = on
  }

  /** A peer's lease comes, and is heard of. */
  async hears(leases: Collector<{ kind: string }>, third: number): Promise<void> {
    this.etcdctl('put', leaseKey(`10.3.${third}.0-24`), leaseValue(`9.9.9.${third}`))
    await leases.until(
      (event) => event.kind === 'put' && JSON.stringify(event, shown).includes(`10.3.${third}.0-24`),
    )
  }

  /** All connections end, and may be made again. */
  async cut(): Promise<void> {
    this.line.cut()
    this.line.mend()
    while (this.reports.at(-1) !== 'unavailable') await Bun.sleep(5)
    while (this.reports.at(-1) !== undefined) await Bun.sleep(5)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort(new Error('the test is over'))
    await this.#store[Symbol.asyncDispose]()
    await this.line[Symbol.asyncDispose]()
    await this.server[Symbol.asyncDispose]()
  }
}

const shown = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value)

for (const [version, program] of PROGRAMS)
  describe.concurrent(`a login to etcd ${version}`, () => {
    if (version === '3.6') beforeAll(buildEtcd, 300_000)

    const renewed = async (world: World) => {
      world.auth(true)
      const leases = new Collector(world.store.leases(world.signal))
      await leases.until(({ kind }) => kind === 'snapshot')
      const own = await world.store.acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      // Nobody asks anything meanwhile, and the token ends.
      await Bun.sleep(2_500)
      await world.hears(leases, 1)
      await world.cut()
      await world.hears(leases, 2)
      await Bun.sleep(2_500)
      await own.update(attributes('1.2.3.4', { VNI: 5 }), world.signal)
      await leases.until((event) => event.kind === 'put' && JSON.stringify(event, shown).includes('"VNI":5'))
      // It was not even mentioned.
      expect(world.reports).toStrictEqual(['unavailable', undefined])
      expect(world.heard.filter(({ code }) => code === 'auth')).toEqual([])
      await own[Symbol.asyncDispose]()
    }

    test('that has ended is made again, by calls and by a watch that is begun anew', async () => {
      await using world = await World.start(program, '--auth-token-ttl', '1')
      await renewed(world)
    }, 60_000)

    test('with a JWT that has ended, too, and after the rights have changed', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'heddle-test-jwt-'))
      try {
        const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
        openssl('genrsa', '-out', 'private.pem', '2048')
        openssl('rsa', '-in', 'private.pem', '-pubout', '-out', 'public.pem')
        const keys = `pub-key=${join(folder, 'public.pem')},priv-key=${join(folder, 'private.pem')}`
        await using world = await World.start(program, '--auth-token', `jwt,${keys},sign-method=RS256,ttl=2s`)
        await renewed(world)
        world.etcdctl('role', 'add', 'another')
        // "revision of auth store is old"
        await using own = await world.store.acquire(wishOf('1.2.3.4', CONFIG), world.signal)
        world.etcdctl('user', 'grant-role', 'flannel', 'another')
        await own.update(attributes('1.2.3.4', { VNI: 6 }), world.signal)
        expect(world.heard.filter(({ code }) => code === 'auth')).toEqual([])
      } finally {
        rmSync(folder, { recursive: true })
      }
    }, 60_000)

    test('is made once authentication is switched on, and no more once it is off again', async () => {
      await using world = await World.start(program)
      const leases = new Collector(world.store.leases(world.signal))
      await leases.until(({ kind }) => kind === 'snapshot')
      await using own = await world.store.acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      for (const [round, on] of [true, false, true].entries()) {
        world.auth(on)
        await own.update(attributes('1.2.3.4', { VNI: 10 + round }), world.signal)
        await world.hears(leases, 1 + round)
        await world.cut()
        await world.hears(leases, 11 + round)
      }
      expect(world.heard.filter(({ code }) => code === 'auth')).toEqual([])
    }, 60_000)

    test('whose password was changed is said, and works again once the password is right', async () => {
      await using world = await World.start(program)
      world.auth(true)
      const leases = new Collector(world.store.leases(world.signal))
      await leases.until(({ kind }) => kind === 'snapshot')
      await using own = await world.store.acquire(wishOf('1.2.3.4', CONFIG), world.signal)
      const password = (text: string) =>
        execFileSync(
          'etcdctl',
          [
            `--endpoints=${world.server.endpoint}`,
            '--user=root:secret',
            'user',
            'passwd',
            '--interactive=false',
            'flannel',
          ],
          { env: { ...process.env, ETCDCTL_API: '3' }, input: `${text}\n`, stdio: 'pipe' },
        )
      password('another')
      const updating = own.update(attributes('1.2.3.4', { VNI: 5 }), world.signal)
      while (!world.reports.includes('auth')) await Bun.sleep(10)
      expect(world.store.troubles.get('own lease')?.message).toMatch(
        /authentication failed, invalid user ID or password; check user, password/,
      )
      password('pass')
      await updating
      while (world.reports.at(-1) !== undefined) await Bun.sleep(10)
      await world.hears(leases, 1)
    }, 60_000)
  })

describe('a login', () => {
  const never = new AbortController().signal
  const authError = () =>
    new EtcdError(Status.invalidArgument, 'http://e', 'Authenticate', 'etcdserver: authentication failed')

  test('is made once for all who need it, and once more for all who found it stale', async () => {
    let made = 0
    const login = new Login(async () => `token ${++made}`)
    const tokens = await Promise.all(Array.from({ length: 5 }, () => login.token(never)))
    expect(new Set(tokens)).toEqual(new Set(['token 1']))
    await login.refused('token 1')
    expect(await login.token(never)).toBe('token 2')
    // Somebody whose call took longer.
    await login.refused('token 1')
    expect(await login.token(never)).toBe('token 2')
    expect(made).toBe(2)
  })

  test('that etcd refuses is not tried again at once, by anyone', async () => {
    let made = 0
    const login = new Login(async () => {
      if (++made < 3) throw authError()
      return 'token'
    })
    const attempt = () => login.token(never).catch((error: unknown) => (error as StoreError).code)
    expect(await Promise.all([attempt(), attempt()])).toEqual(['auth', 'auth'])
    for (let i = 0; i < 20; i++) expect(await attempt()).toBe('auth')
    expect(made).toBe(1)
  })

  test('that failed for the connection is tried again at once', async () => {
    let made = 0
    const login = new Login(async () => {
      if (++made === 1) throw new EtcdError(Status.unavailable, 'http://e', 'Authenticate', 'gone')
      return 'token'
    })
    expect(await login.token(never).catch((error: unknown) => (error as StoreError).code)).toBe('unavailable')
    expect(await login.token(never)).toBe('token')
  })
})
