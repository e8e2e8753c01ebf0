// What the embedded store acknowledged is on disk: fdatasync before the reply, nothing lost by a kill.
import { expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EtcdServer } from '../../../test/support/etcd.ts'
import { Running } from '../../../test/support/process.ts'
import { killStore } from '../../../test/support/store-kills.ts'
import { Channel } from '../etcd/channel.ts'
import { KV, Lease, Maintenance } from '../../../test/support/etcd-api.ts'

const soon = (): AbortSignal => AbortSignal.timeout(15_000)
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

const failureOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (error: unknown) => error,
  )

test('nothing acknowledged is lost by 20 kills in the middle of writes', async () => {
  const report = await killStore(20)
  expect(report.losses).toEqual([])
  expect(report.acknowledged).toBeGreaterThan(200)
}, 90_000)

const HEADERS_FRAME = 1

/** Whether the bytes of a send hold an HTTP/2 HEADERS frame: the begin of an answer (RFC 9113 4.1). */
function beginsAnswer(sent: Buffer): boolean {
  for (let at = 0; at + 9 <= sent.byteLength; at += 9 + sent.readUIntBE(at, 3)) {
    if (sent[at + 3] === HEADERS_FRAME) return true
  }
  return false
}

/** The system calls of a trace made by `strace -xx`, with the bytes they moved. */
function parseTrace(text: string): { call: string; file: string; data: Buffer }[] {
  return [...text.matchAll(/^\d+ +(\w+)\(\d+<([^>]*)>(?:, (?:\[\{iov_base=)?"([^"]*)")?/gm)].map(
    ([, call = '', file = '', data = '']) => ({
      call,
      file: decodeHex(file).toString('latin1'),
      data: decodeHex(data),
    }),
  )
}

function decodeHex(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex')
}

test('between receiving a write and answering it lies an fsync of the log', async () => {
  await using server = await EtcdServer.start('embedded')
  using channel = new Channel({ endpoints: [server.endpoint] })
  await channel.unary(KV.put, { key: bytes('connected'), value: bytes('') }, soon())
  const folder = mkdtempSync(join(tmpdir(), 'heddle-test-strace-'))
  try {
    const file = join(folder, 'trace')
    const calls = 'trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,fsync,fdatasync'
    const options = ['-f', '-y', '-xx', '-s', '4096', '-e', calls, '-o', file]
    await using strace = Running.start('strace', [...options, '-p', String(server.pid)])
    await strace.line(/attached/)
    const marker = `marker-${Math.random()}`
    await channel.unary(KV.put, { key: bytes('durable'), value: bytes(marker) }, soon())
    await strace.end('SIGINT')
    const trace = parseTrace(readFileSync(file, 'utf8'))
    const received = trace.findIndex(({ call, data }) => /^re(ad|cv)/.test(call) && data.includes(marker))
    const socket = trace[received]?.file
    const synced = trace.findIndex(
      ({ call, file }, index) => index > received && call.endsWith('sync') && file.endsWith('store.db-wal'),
    )
    const answered = trace.findIndex(
      ({ call, file, data }, index) =>
        index > received && /^(write|send)/.test(call) && file === socket && beginsAnswer(data),
    )
    expect(received).toBeGreaterThanOrEqual(0)
    expect(synced).toBeGreaterThan(received)
    expect(answered).toBeGreaterThan(synced)
  } finally {
    rmSync(folder, { recursive: true })
  }
}, 60_000)

test('a restart keeps identity, keys, history, compaction and leases, whose time begins anew', async () => {
  await using server = await EtcdServer.start('embedded')
  using channel = new Channel({ endpoints: [server.endpoint] })
  await channel.unary(Lease.leaseGrant, { ID: 7n, TTL: 100n }, soon())
  for (const value of ['1', '2', '3']) {
    await channel.unary(KV.put, { key: bytes('a'), value: bytes(value), lease: 7n }, soon())
  }
  await channel.unary(KV.compact, { revision: 3n, physical: true }, soon())
  const before = await channel.unary(KV.range, { key: bytes('a') }, soon())
  await server.restart()
  const after = await channel.unary(KV.range, { key: bytes('a') }, soon())
  expect(after.kvs).toEqual(before.kvs)
  expect(after.header).toMatchObject({
    clusterId: before.header?.clusterId,
    memberId: before.header?.memberId,
    revision: 4n,
    raftTerm: (before.header?.raftTerm ?? 0n) + 1n,
  })
  const old = await channel.unary(KV.range, { key: bytes('a'), revision: 3n }, soon())
  expect(old.kvs[0]?.value).toEqual(bytes('2'))
  const compacted = await failureOf(channel.unary(KV.range, { key: bytes('a'), revision: 2n }, soon()))
  expect(compacted).toMatchObject({ detail: 'etcdserver: mvcc: required revision has been compacted' })
  const lease = await channel.unary(Lease.leaseTimeToLive, { ID: 7n, keys: true }, soon())
  expect(lease).toMatchObject({ grantedTTL: 100n, keys: [bytes('a')] })
  expect(lease.TTL).toBeGreaterThanOrEqual(98n)
}, 60_000)

test('a full disk refuses writes as etcd does, keeps reads and what there was, and recovers with room', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-test-full-'))
  try {
    const runner = join(import.meta.dirname, '../../../test/support/embedded-store.ts')
    const mount = 'mount -t tmpfs -o size=3m none "$1"; head -c 1000000 /dev/zero > "$1/ballast"'
    const script = `${mount}; exec "$2" "$3" --listen 127.0.0.1:0 --data-dir "$1/store"`
    await using store = Running.start('unshare', [
      '-m',
      'sh',
      '-ec',
      script,
      'sh',
      folder,
      process.execPath,
      runner,
    ])
    const endpoint = /http:\S+:\d+/.exec(await store.line(/serving/))?.[0] ?? ''
    using channel = new Channel({ endpoints: [endpoint] })
    const put = (name: string, length: number) =>
      channel.unary(KV.put, { key: bytes(name), value: new Uint8Array(length) }, soon())
    await put('kept', 10)
    let written = 0
    const fill = async (): Promise<void> => {
      for (; written < 100; written++) await put(`big/${written}`, 100_000)
    }
    const failure = await failureOf(fill())
    expect(failure).toMatchObject({ detail: 'etcdserver: mvcc: database space exceeded' })
    expect((await channel.unary(Maintenance.alarm, {}, soon())).alarms).toHaveLength(1)
    const kept = await channel.unary(KV.range, { key: bytes('kept') }, soon())
    expect(kept.kvs[0]?.value.byteLength).toBe(10)
    const big = await channel.unary(KV.range, { key: bytes('big/'), rangeEnd: bytes('big0') }, soon())
    expect(big.count).toBe(BigInt(written))
    rmSync(join('/proc', String(store.pid), 'root', folder, 'ballast'))
    await put('again', 100_000)
    expect((await channel.unary(Maintenance.alarm, {}, soon())).alarms).toEqual([])
  } finally {
    rmSync(folder, { recursive: true })
  }
}, 60_000)

test('a file that can no longer be written ends the store, and what it acknowledged is there after that', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-test-limit-'))
  const runner = join(import.meta.dirname, '../../../test/support/embedded-store.ts')
  const command = (limit: string): Running => {
    const script = `trap '' XFSZ; ulimit -f ${limit}; exec "$0" "$1" --listen 127.0.0.1:0 --data-dir "$2"`
    return Running.start('bash', ['-c', script, process.execPath, runner, folder])
  }
  const connect = async (store: Running): Promise<Channel> =>
    new Channel({ endpoints: [/http:\S+:\d+/.exec(await store.line(/serving/))?.[0] ?? ''] })
  try {
    let written = 0
    {
      await using store = command('1000')
      using channel = await connect(store)
      const fill = async (): Promise<void> => {
        for (; written < 100; written++) {
          const put = { key: bytes(`big/${written}`), value: new Uint8Array(100_000) }
          await channel.unary(KV.put, put, soon())
        }
      }
      expect(await failureOf(fill())).toMatchObject({ detail: expect.stringContaining('write failed') })
      expect(await store.ended).toEqual({ code: 1, signal: null })
      expect(store.matching(/can't write .*store\.db: .*; what was acknowledged is kept/)).toHaveLength(1)
    }
    await using store = command('unlimited')
    using channel = await connect(store)
    const big = await channel.unary(KV.range, { key: bytes('big/'), rangeEnd: bytes('big0') }, soon())
    expect(big.count).toBe(BigInt(written))
    expect(written).toBeGreaterThan(3)
  } finally {
    rmSync(folder, { recursive: true })
  }
}, 60_000)
