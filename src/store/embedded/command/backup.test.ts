// Backup of a store that runs or doesn't, and restore: what is kept, what is refused, and how clients take it.
import { describe, expect, test } from 'bun:test'
import {
  chownSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Auth, KV, Lease } from '../../../../test/support/etcd-api.ts'
import { EtcdServer } from '../../../../test/support/etcd.ts'
import { Running } from '../../../../test/support/process.ts'
import {
  Collector,
  CONFIG_KEY,
  leaseKey,
  leaseValue,
  StoreWorld,
  wishOf,
} from '../../../../test/support/store-world.ts'
import { TestWatch } from '../../../../test/support/watch.ts'
import { Channel } from '../../etcd/channel.ts'
import type { LeaseEvent } from '../../store.ts'

const RUNNER = join(import.meta.dirname, '../../../../test/support/embedded-store.ts')
const ALL = { key: new Uint8Array([0]), rangeEnd: new Uint8Array([0]) }
const LEAP = 1_000_000_000n
const soon = (): AbortSignal => AbortSignal.timeout(20_000)
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

/** `heddle store …` to its end. */
async function run(...words: readonly string[]): Promise<{ code: number | null; said: string }> {
  await using command = Running.start(process.execPath, [RUNNER, ...words])
  const { code } = await command.ended
  return { code, said: command.lines.join('\n') }
}

class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'heddle-test-backup-'))

  file(name: string): string {
    return join(this.path, name)
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true })
  }
}

/** Puts a backup in place of all that the store, which is down, has. */
async function restoreInto(server: EtcdServer, file: string): Promise<void> {
  rmSync(server.folder, { recursive: true })
  const { code, said } = await run('restore', file, '--data-dir', server.folder)
  expect(said).toMatch(/store\.db holds \d+ keys at revision 1\d{9} \(\d+ KiB\), as a new cluster: /)
  expect(code).toBe(0)
}

async function contents(channel: Channel): Promise<Record<string, string>> {
  const { kvs } = await channel.unary(KV.range, ALL, soon())
  const text = (part: Uint8Array): string => Buffer.from(part).toString()
  return Object.fromEntries(kvs.map(({ key, value }) => [text(key), text(value)]))
}

const put = (channel: Channel, key: string, value: string, lease = 0n) =>
  channel.unary(KV.put, { key: bytes(key), value: bytes(value), lease }, soon())

test('a backup of a running store has all that was acknowledged before it, and nothing by halves', async () => {
  using folder = new Folder()
  await using server = await EtcdServer.start('embedded')
  using channel = new Channel({ endpoints: [server.endpoint] })
  const progress = { written: 0, stopped: false }
  // Two keys in each transaction.
  const writing = (async () => {
    while (!progress.stopped) {
      const ops = ['a', 'b'].map((side) => ({
        request: {
          case: 'requestPut' as const,
          value: { key: bytes(`${side}/${progress.written}`), value: bytes('x'.repeat(200)) },
        },
      }))
      await channel.unary(KV.txn, { success: ops }, soon())
      progress.written++
    }
  })()
  while (progress.written < 200) await new Promise((resolve) => setTimeout(resolve, 10))
  const before = progress.written
  const { code, said } = await run('backup', folder.file('backup.db'), '--data-dir', server.folder)
  expect(said).toMatch(/backup\.db holds \d+ keys at revision \d+ \(\d+ KiB\)$/)
  expect(code).toBe(0)
  progress.stopped = true
  await writing
  expect(readdirSync(folder.path)).toEqual(['backup.db'])
  expect(statSync(folder.file('backup.db')).mode & 0o777).toBe(0o600)
  expect(readdirSync(server.folder).toSorted()).toEqual(['control.sock', 'store.db', 'store.db-wal'])
  using copy = new DatabaseSync(folder.file('backup.db'), { readOnly: true })
  const keys = copy
    .prepare('SELECT CAST(key AS TEXT) AS key FROM current')
    .all()
    .map(({ key }) => String(key))
  const kept = keys.length / 2
  expect(kept).toBeGreaterThanOrEqual(before)
  expect(keys.toSorted()).toEqual(
    ['a', 'b'].flatMap((side) => Array.from({ length: kept }, (_, n) => `${side}/${n}`)).toSorted(),
  )
}, 60_000)

test('keys, leases and users come back, with revisions beyond all that were', async () => {
  using folder = new Folder()
  await using server = await EtcdServer.start('embedded')
  using channel = new Channel({ endpoints: [server.endpoint] })
  await channel.unary(Lease.leaseGrant, { ID: 7n, TTL: 100n }, soon())
  await put(channel, 'a', '1')
  await put(channel, 'b', '2', 7n)
  await put(channel, 'a', '3')
  await channel.unary(Auth.userAdd, { name: 'ann', options: { noPassword: true } }, soon())
  const before = await channel.unary(KV.range, { key: bytes('a') }, soon())
  for (const stop of [undefined, 'SIGKILL', 'SIGTERM'] as const) {
    if (stop !== undefined) await server.process.end(stop)
    const { code } = await run('backup', folder.file(`after-${stop}.db`), '--data-dir', server.folder)
    expect(code).toBe(0)
    if (stop !== undefined) await server.up()
  }
  await put(channel, 'lost', 'x')
  for (const name of readdirSync(folder.path)) {
    await server.process.end('SIGTERM')
    await restoreInto(server, folder.file(name))
    expect(readdirSync(server.folder)).toEqual(['store.db'])
    expect(statSync(join(server.folder, 'store.db')).mode & 0o777).toBe(0o600)
    await server.up()
    expect(await contents(channel)).toEqual({ a: '3', b: '2' })
    const after = await channel.unary(KV.range, { key: bytes('a') }, soon())
    expect(after.kvs).toEqual(before.kvs)
    expect(after.header?.clusterId).not.toBe(before.header?.clusterId)
    expect(after.header?.revision).toBe((before.header?.revision ?? 0n) + LEAP)
    const lease = await channel.unary(Lease.leaseTimeToLive, { ID: 7n, keys: true }, soon())
    expect(lease).toMatchObject({ grantedTTL: 100n, keys: [bytes('b')] })
    expect((await channel.unary(Auth.userList, {}, soon())).users).toEqual(['ann'])
    expect((await put(channel, 'c', '4')).header?.revision).toBe((before.header?.revision ?? 0n) + LEAP + 1n)
  }
  await server.restart()
  expect((await channel.unary(KV.range, { key: bytes('a') }, soon())).header?.revision).toBe(
    (before.header?.revision ?? 0n) + LEAP + 1n,
  )
}, 60_000)

test('root restores for whoever owns the directory', async () => {
  using folder = new Folder()
  await using server = await EtcdServer.start('embedded')
  await run('backup', folder.file('backup.db'), '--data-dir', server.folder)
  const directory = folder.file('data')
  mkdirSync(directory)
  chownSync(directory, 65_534, 65_533)
  await run('restore', folder.file('backup.db'), '--data-dir', directory)
  const { uid, gid } = statSync(join(directory, 'store.db'))
  expect([uid, gid]).toEqual([65_534, 65_533])
})

test('a watch from before the restore is told that its revision is compacted, however far the lost store had come', async () => {
  using folder = new Folder()
  await using server = await EtcdServer.start('embedded')
  using channel = new Channel({ endpoints: [server.endpoint] })
  await put(channel, 'a', '1')
  await run('backup', folder.file('backup.db'), '--data-dir', server.folder)
  for (let count = 0; count < 50; count++) await put(channel, 'a', 'newer')
  await server.process.end('SIGTERM')
  await restoreInto(server, folder.file('backup.db'))
  await server.up()
  using watch = await TestWatch.open(server.endpoint)
  watch.create({ key: bytes('a'), startRevision: 40n })
  expect(await watch.next()).toMatchObject({ created: true })
  expect(await watch.next()).toMatchObject({ canceled: true, compactRevision: LEAP + 2n })
}, 60_000)

test('to our own client it is a new history: what the backup lacks is not deleted, and its own lease is put again', async () => {
  using folder = new Folder()
  await using world = await StoreWorld.start('embedded')
  const isSnapshot = (event: LeaseEvent) => event.kind === 'snapshot'
  const config = { Network: '10.3.0.0/16', Backend: { Type: 'vxlan' } }
  await world.put(CONFIG_KEY, config)
  await world.put(leaseKey('10.3.1.0-24'), leaseValue('1.1.1.1'))
  await run('backup', folder.file('backup.db'), '--data-dir', world.server.folder)
  const store = world.store()
  const own = await store.acquire(wishOf('1.1.1.9', config), world.signal)
  await world.put(leaseKey('10.3.2.0-24'), leaseValue('1.1.1.2'))
  const leases = new Collector(store.leases(world.signal))
  const first = await leases.until(isSnapshot)
  await world.server.process.end('SIGTERM')
  await restoreInto(world.server, folder.file('backup.db'))
  await world.server.up()
  const again = await leases.until(isSnapshot)
  if (first.kind !== 'snapshot' || again.kind !== 'snapshot') throw new Error('no snapshot')
  expect(again.history).not.toBe(first.history)
  while ((await world.get(leaseKey(own.lease.key))) === undefined) await Bun.sleep(20)
  expect(await world.leaseNames()).toEqual(['10.3.1.0-24', own.lease.key].toSorted())
  expect(leases.seen.filter(({ kind }) => kind === 'delete')).toEqual([])
  await own[Symbol.asyncDispose]()
}, 60_000)

describe('what can not be done is said in a sentence, and changes nothing', () => {
  test('backup: no store, a name that is taken, a place that can not be written', async () => {
    using folder = new Folder()
    await using server = await EtcdServer.start('embedded')
    writeFileSync(folder.file('taken'), 'x')
    for (const [words, says, expected] of [
      [
        [folder.file('new'), '--data-dir', folder.path],
        /^heddle store backup: there is no store in \S+: give its --data-dir$/,
        1,
      ],
      [[folder.file('taken'), '--data-dir', server.folder], /taken is there already: give another name/, 1],
      [
        [folder.file('no/such/new'), '--data-dir', server.folder],
        /can't write \S+no\/such\/new\.part: ENOENT/,
        1,
      ],
      [[], /^heddle store backup: it takes one FILE; see heddle store backup --help$/, 2],
      [['a', 'b'], /it takes one FILE/, 2],
      [['a', '--datadir', 'b'], /unknown option --datadir; see heddle store backup --help/, 2],
    ] as const) {
      const { code, said } = await run('backup', ...words)
      expect(said).toMatch(says)
      expect(code).toBe(expected)
    }
    expect(readdirSync(folder.path)).toEqual(['taken'])
    expect(readFileSync(folder.file('taken'), 'utf8')).toBe('x')
    expect(await run('backup', '--help')).toMatchObject({ code: 0, said: expect.stringContaining('FILE') })
  })

  test('backup: a store that runs but can not be asked', async () => {
    using folder = new Folder()
    await using server = await EtcdServer.start('embedded')
    rmSync(join(server.folder, 'control.sock'))
    const { code, said } = await run('backup', folder.file('new'), '--data-dir', server.folder)
    expect(said).toMatch(/store\.db is in use by another process/)
    expect(code).toBe(1)
    expect(readdirSync(folder.path)).toEqual([])
  })

  test('restore: a store that is there, a file that is none, a damaged one', async () => {
    using folder = new Folder()
    await using server = await EtcdServer.start('embedded')
    using channel = new Channel({ endpoints: [server.endpoint] })
    for (let count = 0; count < 100; count++) await put(channel, `key/${count}`, 'x'.repeat(200))
    const good = folder.file('good')
    await run('backup', good, '--data-dir', server.folder)
    const damaged = folder.file('damaged')
    copyFileSync(good, damaged)
    const fd = openSync(damaged, 'r+')
    writeSync(fd, Buffer.alloc(3 * 4096, 0xa5), 0, 3 * 4096, 4096)
    closeSync(fd)
    writeFileSync(folder.file('text'), 'no store\n'.repeat(100))
    const target = folder.file('target')
    for (const [words, says, expected] of [
      [
        [good, '--data-dir', server.folder],
        /store\.db is there already, and stays: stop the store and move \S+ away/,
        1,
      ],
      [[folder.file('text'), '--data-dir', target], /text isn't a heddle store; nothing was restored/, 1],
      [[damaged, '--data-dir', target], /damaged is damaged \(.+\)/, 1],
      [[folder.file('missing'), '--data-dir', target], /can't open \S+missing: ENOENT/, 1],
      [[], /^heddle store restore: it takes one FILE/, 2],
    ] as const) {
      const { code, said } = await run('restore', ...words)
      expect(said).toMatch(says)
      expect(code).toBe(expected)
    }
    expect(existsSync(target)).toBe(false)
    mkdirSync(target)
    writeFileSync(join(target, 'store.db-wal'), '')
    const { said } = await run('restore', good, '--data-dir', target)
    expect(said).toContain('store.db-wal is there already')
    expect(readdirSync(target)).toEqual(['store.db-wal'])
    await put(channel, 'still', 'served')
  })
})

test('what an interrupted backup left goes at the next start; where no socket can be, the rest works', async () => {
  using folder = new Folder()
  const deep = folder.file(`${'x'.repeat(120)}/store`)
  mkdirSync(deep, { recursive: true })
  writeFileSync(join(deep, 'backup-01234567-89ab-cdef-0123-456789abcdef.tmp'), '')
  const start = () => Running.start(process.execPath, [RUNNER, '--listen', '127.0.0.1:0', '--data-dir', deep])
  {
    await using store = start()
    await store.line(/serving/)
    expect(readdirSync(deep).toSorted()).toEqual(['control.sock', 'store.db', 'store.db-wal'])
    expect((await run('backup', folder.file('first'), '--data-dir', deep)).code).toBe(0)
    await store.end('SIGTERM')
    expect(readdirSync(deep)).toEqual(['store.db'])
  }
  mkdirSync(join(deep, 'control.sock'))
  await using store = start()
  await store.line(/unix:\S+control\.sock .+; `heddle store backup` works only while this store is stopped/)
  await store.line(/serving/)
  await store.end('SIGTERM')
  expect((await run('backup', folder.file('second'), '--data-dir', deep)).code).toBe(0)
}, 60_000)
