// TLS files renewed under a real etcd, and the embedded store, while leases are followed and kept: in all the ways in which files change, for
// better and for worse. No event is lost, none comes twice, and the store is never said to fail.
import { describe, expect, test } from 'bun:test'
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { renameSync, rmSync, symlinkSync } from 'node:fs'
import { Authority, type Certificate } from '../../../test/support/authority.ts'
import { ETCD_KINDS, EtcdServer, type EtcdKind } from '../../../test/support/etcd.ts'
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
import { TlsFolder } from '../../../test/support/tls-files.ts'
import { pathChanges } from '../../sys/path-watch.ts'
import type { LeaseEvent, OwnLease } from '../store.ts'
import { keepRenewed, type Note } from './renewal.ts'
import { EtcdStore } from './store.ts'

const CONFIG = { Network: '10.3.0.0/16', Backend: { Type: 'vxlan' } }
const DAY_MS = 24 * 3600 * 1000
const authority = new Authority('ca')
const next = new Authority('next ca')
const hosts = ['127.0.0.1']
const expired = { notBefore: new Date(Date.now() - 2 * DAY_MS), notAfter: new Date(Date.now() - DAY_MS) }

/** Of client certificates; the embedded store hangs up without a word. */
const REFUSED = /connecting: .*(certificate|closed before HTTP\/2 began)/i

/** A store with our lease, its leases followed, on an etcd that asks for client certificates. */
class World implements AsyncDisposable {
  readonly folder: TlsFolder
  readonly server: EtcdServer
  readonly line: Line
  readonly store: EtcdStore
  readonly notes: Note[] = []
  readonly reports: (string | undefined)[] = []
  readonly stop = new AbortController()
  readonly leases: Collector<LeaseEvent>
  own!: OwnLease
  #puts = 0

  private constructor(folder: TlsFolder, server: EtcdServer, line: Line) {
    this.folder = folder
    this.server = server
    this.line = line
    const [ca, cert, key] = ['ca.pem', 'client.pem', 'client.key'].map((name) => folder.path(name)) as [
      string,
      string,
      string,
    ]
    this.store = new EtcdStore({
      endpoints: [line.endpoint.replace('http:', 'https:')],
      prefix: PREFIX,
      renewMarginMinutes: 60,
      tls: async () => ({
        ca: await readFile(ca),
        cert: await readFile(cert),
        key: await readFile(key),
        names: { ca: 'ca.pem', cert: 'client.pem', key: 'client.key' },
      }),
      tlsChanges: (signal) => pathChanges([ca, cert, key], signal),
      note: (note) => this.notes.push(note),
      report: (error) => this.reports.push(error?.code),
    })
    this.leases = new Collector(this.store.leases(this.stop.signal))
  }

  static async start(kind: EtcdKind, prepare?: (folder: TlsFolder) => void): Promise<World> {
    const folder = new TlsFolder()
    const files = folder.write('server', authority.issue({ name: 'server', hosts }))
    const clientCa = folder.put('clients.pem', authority.cert + next.cert)
    folder.write('admin', authority.issue({ name: 'root' }))
    if (prepare !== undefined) prepare(folder)
    else {
      folder.put('ca.pem', authority.cert)
      folder.write('client', authority.issue({ name: 'client' }))
    }
    const server = await EtcdServer.start(kind, { inMemory: true, tls: { ...files, clientCa } })
    const world = new World(folder, server, await Line.to(server.port))
    world.etcdctl('put', CONFIG_KEY, JSON.stringify(CONFIG))
    await world.leases.until(({ kind }) => kind === 'snapshot')
    const wish = wishOf('1.2.3.4', CONFIG, { previous: ['10.3.200.0/24'] })
    world.own = await world.store.acquire(wish, world.stop.signal)
    await world.lives()
    return world
  }

  etcdctl(...args: string[]): void {
    const files = [
      '--cacert',
      this.folder.path('clients.pem'),
      '--cert',
      this.folder.path('admin.pem'),
      '--key',
      this.folder.path('admin.key'),
    ]
    execFileSync('etcdctl', [`--endpoints=${this.server.endpoint}`, ...files, ...args], {
      env: { ...process.env, ETCDCTL_API: '3' },
      stdio: 'pipe',
    })
  }

  client(certificate: Certificate): void {
    this.folder.write('client', certificate)
  }

  /** The serial number of the client certificate in use. */
  async serial(): Promise<string | undefined> {
    return (await this.store.certificates()).find(({ from }) => from === 'client.pem')?.serial
  }

  /** Calls work, and a peer's lease is heard of: it alone, and once. */
  async lives(): Promise<void> {
    const name = `10.3.${++this.#puts}.0-24`
    this.etcdctl('put', leaseKey(name), leaseValue(`9.9.9.${this.#puts}`))
    await this.leases.until((event) => event.kind === 'put' && event.lease.key === name)
    await this.own.update(attributes('1.2.3.4', { VNI: this.#puts }), this.stop.signal)
  }

  async noted(level: Note['level'], text: RegExp): Promise<void> {
    const from = this.notes.length
    while (!this.notes.slice(from).some((note) => note.level === level && text.test(note.text)))
      await Bun.sleep(10)
  }

  /** After `act` another connection is in use, with another certificate unless `same`; and it's the only one. */
  async renewed(act: () => void, { same = false } = {}): Promise<void> {
    const before = await this.serial()
    const noted = this.noted('info', /a connection with the new ones has taken over/)
    act()
    await noted
    expect((await this.serial()) === before).toBe(same)
    await this.lives()
    while (this.line.connections > 1) await Bun.sleep(10)
    expect(this.store.troubles.size).toBe(0)
  }

  /** After `act` the connection of before is in use, and the reason is said once. */
  async kept(act: () => void, why: RegExp): Promise<void> {
    const [before, notes] = [await this.serial(), this.notes.length]
    const noted = this.noted('warning', why)
    act()
    await noted
    await Bun.sleep(500)
    expect(this.notes.slice(notes).map(({ level }) => level)).toEqual(['warning'])
    expect(await this.serial()).toBe(before)
    expect([...this.store.troubles.keys()]).toEqual(['certificates'])
    await this.lives()
  }

  /** Nothing of this was ever noticed by who uses the store. */
  expectUndisturbed(): void {
    expect(this.reports).toEqual([])
    const puts = this.leases.seen.flatMap((event) =>
      event.kind === 'put' && event.lease.ipv4?.publicIp?.startsWith('9.') === true
        ? [event.lease.key as string]
        : [],
    )
    expect(puts).toEqual(Array.from({ length: this.#puts }, (_, i) => `10.3.${i + 1}.0-24`))
    expect(this.leases.seen.filter(({ kind }) => kind === 'snapshot').length).toBe(1)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort(new Error('the test is over'))
    await this.own[Symbol.asyncDispose]()
    await this.store[Symbol.asyncDispose]()
    await this.line[Symbol.asyncDispose]()
    await this.server[Symbol.asyncDispose]()
    this.folder[Symbol.dispose]()
  }
}

for (const kind of ETCD_KINDS)
  describe.concurrent(`TLS files for ${kind}`, () => {
    test('that are renewed come into use at once, again and again; the old connection goes', async () => {
      await using world = await World.start(kind)
      for (let i = 0; i < 3; i++) await world.renewed(() => world.client(authority.issue({ name: 'client' })))
      world.expectUndisturbed()
    }, 60_000)

    test('that are touched, or written again as they were, change nothing', async () => {
      await using world = await World.start(kind)
      const text = await readFile(world.folder.path('client.pem'), 'utf8')
      world.folder.put('client.pem', text)
      await Bun.sleep(500)
      expect([world.notes, world.line.connections]).toEqual([[], 1])
    }, 60_000)

    test('that are no good, each in its way, leave the connection there is until they are', async () => {
      await using world = await World.start(kind)
      const { cert, key } = authority.issue({ name: 'client' })
      const { folder } = world
      await world.kept(() => folder.put('client.pem', cert.slice(0, 200)), /client\.pem holds no certificate/)
      await world.kept(() => folder.put('client.pem', cert), /client\.key doesn't belong to client\.pem/)
      await world.renewed(() => folder.put('client.key', key))
      await world.kept(() => folder.put('ca.pem', ''), /ca\.pem holds no certificate/)
      await world.kept(() => rmSync(folder.path('ca.pem')), /ENOENT/)
      // As it is in use.
      folder.put('ca.pem', authority.cert)
      while (world.store.troubles.size > 0) await Bun.sleep(10)
      await world.kept(() => folder.put('ca.pem', next.cert), /connecting: .*certificate/)
      await world.renewed(() => folder.put('ca.pem', authority.cert + next.cert), { same: true })
      await world.kept(() => world.client(authority.issue({ name: 'client', ...expired })), REFUSED)
      await world.kept(() => world.client(new Authority('stranger').issue({ name: 'client' })), REFUSED)
      await world.renewed(() => world.client(authority.issue({ name: 'client' })))
      world.expectUndisturbed()
    }, 60_000)

    test('with another CA come into use: first both are trusted, then the server changes, then the old one goes', async () => {
      await using world = await World.start(kind)
      await world.renewed(() => world.folder.put('ca.pem', authority.cert + next.cert), { same: true })
      // etcd reads its own anew for each connection.
      world.folder.write('server', next.issue({ name: 'server', hosts }))
      await world.renewed(() => world.client(next.issue({ name: 'client' })))
      await world.renewed(() => world.folder.put('ca.pem', next.cert), { same: true })
      expect((await world.store.certificates()).map(({ subject }) => subject)).toEqual([
        'CN=next ca',
        'CN=client',
        'CN=server',
      ])
      world.expectUndisturbed()
    }, 60_000)

    test('with another CA all at once come into use as soon as etcd has changed as well', async () => {
      await using world = await World.start(kind)
      await world.kept(() => {
        world.folder.put('ca.pem', next.cert)
        world.client(next.issue({ name: 'client' }))
      }, /connecting: .*certificate/)
      // Nobody tells us: it is tried again.
      await world.renewed(() => world.folder.write('server', next.issue({ name: 'server', hosts })))
      world.expectUndisturbed()
    }, 60_000)

    test('that Kubernetes swaps as a whole come into use', async () => {
      const version = (folder: TlsFolder, name: string) => {
        folder.put(`${name}/ca.pem`, authority.cert)
        folder.write(`${name}/client`, authority.issue({ name: 'client' }))
        symlinkSync(name, folder.path('..data_tmp'))
        renameSync(folder.path('..data_tmp'), folder.path('..data'))
      }
      await using world = await World.start(kind, (folder) => {
        version(folder, '..1')
        for (const name of ['ca.pem', 'client.pem', 'client.key'])
          symlinkSync(`..data/${name}`, folder.path(name))
      })
      for (const name of ['..2', '..3']) {
        await world.renewed(() => version(world.folder, name))
        rmSync(world.folder.path(name === '..2' ? '..1' : '..2'), { recursive: true })
      }
      await Bun.sleep(300)
      world.expectUndisturbed()
    }, 60_000)

    test('that can’t be read while the connection is lost: the ones that worked are used again', async () => {
      await using world = await World.start(kind)
      const before = await world.serial()
      await world.kept(() => rmSync(world.folder.path('client.key')), /ENOENT/)
      world.line.cut()
      world.line.mend()
      while (!world.reports.includes('unavailable') || world.reports.at(-1) !== undefined) await Bun.sleep(10)
      await world.lives()
      expect(await world.serial()).toBe(before)
      await world.renewed(() => world.client(authority.issue({ name: 'client' })))
    }, 60_000)

    test('with the name of a user who may do less leave the connection there is', async () => {
      await using world = await World.start(kind)
      world.client(authority.issue({ name: 'flannel' }))
      await world.noted('info', /taken over/)
      const etcdctl = (...args: string[]) => world.etcdctl(...args)
      etcdctl('user', 'add', 'root:secret')
      etcdctl('user', 'grant-role', 'root', 'root')
      etcdctl('user', 'add', 'flannel:x')
      etcdctl('user', 'add', 'guest:x')
      etcdctl('role', 'add', 'network')
      etcdctl('role', 'grant-permission', 'network', 'readwrite', '--prefix=true', PREFIX)
      etcdctl('user', 'grant-role', 'flannel', 'network')
      etcdctl('auth', 'enable')
      await world.lives()
      await world.kept(() => world.client(authority.issue({ name: 'guest' })), /permission denied/)
      await world.renewed(() => world.client(authority.issue({ name: 'flannel' })))
      world.expectUndisturbed()
    }, 60_000)

    test('are renewed when asked, and it is told what came of it', async () => {
      await using world = await World.start(kind)
      const renew = () => world.store.renewCertificates(world.stop.signal)
      expect(await renew()).toBe('same')
      world.line.cut()
      while (world.reports.length === 0) await Bun.sleep(5)
      expect(await renew()).toBe('idle')
      world.line.mend()
    }, 60_000)
  })

test('files that can’t be watched are said once, and nothing else happens', async () => {
  const notes: Note[] = []
  await keepRenewed(
    {
      changes: async function* () {
        yield
        throw new Error('inotify_init1: EMFILE (Too many open files)')
      },
      renew: async () => 'idle',
      note: (note) => notes.push(note),
      trouble: (error) => expect(error).toBeUndefined(),
    },
    new AbortController().signal,
  )
  expect(notes).toEqual([
    {
      level: 'warning',
      text: "the TLS files for etcd can't be watched (inotify_init1: EMFILE (Too many open files)): renewed ones come into use with the next connection, or at SIGHUP",
    },
  ])
})
