// History that goes by itself, and the file that gets smaller by itself.
import { expect, test } from 'bun:test'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { KV, Maintenance } from '../../../../test/support/etcd-api.ts'
import { EtcdServer } from '../../../../test/support/etcd.ts'
import { eventually } from '../../../../test/support/process.ts'
import { TestWatch } from '../../../../test/support/watch.ts'
import { Channel } from '../../etcd/channel.ts'

const VALUE_BYTES = 4000
const soon = (): AbortSignal => AbortSignal.timeout(20_000)
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

/** The same few keys changed so often; the newest revision. */
async function change(channel: Channel, times: number): Promise<bigint> {
  let revision = 0n
  for (let done = 0; done < times; done += 100) {
    const puts = Array.from({ length: 100 }, (_, key) =>
      channel.unary(KV.put, { key: bytes(`key/${key % 5}`), value: new Uint8Array(VALUE_BYTES) }, soon()),
    )
    for (const { header } of await Promise.all(puts)) {
      if (header !== undefined && header.revision > revision) revision = header.revision
    }
  }
  return revision
}

/** What a read at that revision answers: `there`, or why not. */
async function historyAt(channel: Channel, revision: bigint): Promise<string> {
  const read = channel.unary(KV.range, { key: bytes('key/1'), revision }, soon())
  return await read.then(
    () => 'there',
    (error: unknown) => (error instanceof Error && 'detail' in error ? String(error.detail) : String(error)),
  )
}
const COMPACTED = 'etcdserver: mvcc: required revision has been compacted'

test('what was superseded longer ago than the retention goes, and the file with it, without anybody asking', async () => {
  const flags = ['--auto-compaction-retention', '2s']
  await using server = await EtcdServer.start('embedded', { inMemory: true, flags })
  using channel = new Channel({ endpoints: [server.endpoint] })
  const revision = await change(channel, 2000)
  const path = join(server.folder, 'store.db')
  const status = () => channel.unary(Maintenance.status, {}, soon())
  const full = 2000n * BigInt(VALUE_BYTES)
  await eventually('all but the newest is forgotten', async () =>
    (await historyAt(channel, revision - 1n)) === COMPACTED ? true : undefined,
  )
  expect(await historyAt(channel, revision)).toBe('there')
  await eventually('the file is small', async () => {
    const { dbSize, dbSizeInUse } = await status()
    return dbSizeInUse < full / 10n && dbSize < full / 4n && statSync(path).size < Number(full) / 4
      ? true
      : undefined
  })
  await server.process.line(/the database takes \d+ KiB, after it gave empty pages back/)
  expect(statSync(`${path}-wal`).size).toBeLessThan(Number(full) / 4)
  const { kvs } = await channel.unary(KV.range, { key: bytes('key/'), rangeEnd: bytes('key0') }, soon())
  expect(kvs.map(({ version }) => version)).toEqual([400n, 400n, 400n, 400n, 400n])
}, 60_000)

test('in the mode of revisions so many stay, and no fewer', async () => {
  const flags = ['--auto-compaction-mode', 'revision', '--auto-compaction-retention', '300']
  await using server = await EtcdServer.start('embedded', { inMemory: true, flags })
  using channel = new Channel({ endpoints: [server.endpoint] })
  await change(channel, 300)
  expect(await historyAt(channel, 2n)).toBe('there')
  const revision = await change(channel, 1000)
  expect(await historyAt(channel, revision - 300n)).toBe('there')
  await eventually('what is older is gone', async () =>
    (await historyAt(channel, revision - 500n)) === COMPACTED ? true : undefined,
  )
}, 60_000)

test('a retention of 0 keeps all, and a restart forgets nothing that the retention keeps', async () => {
  for (const retention of ['0', '1h']) {
    const flags = ['--auto-compaction-retention', retention]
    await using server = await EtcdServer.start('embedded', { inMemory: true, flags })
    using channel = new Channel({ endpoints: [server.endpoint] })
    const revision = await change(channel, 300)
    await server.restart()
    expect(await historyAt(channel, 2n)).toBe('there')
    expect(await historyAt(channel, revision)).toBe('there')
  }
}, 60_000)

test('what was there before the start goes too, though nobody writes any more', async () => {
  const flags = ['--auto-compaction-retention', '1s']
  await using server = await EtcdServer.start('embedded', { inMemory: true, flags })
  using channel = new Channel({ endpoints: [server.endpoint] })
  const revision = await change(channel, 200)
  await server.kill()
  await server.up()
  await eventually('history is gone', async () =>
    (await historyAt(channel, revision - 1n)) === COMPACTED ? true : undefined,
  )
}, 60_000)

test('writes and watches go on while it compacts and gives pages back', async () => {
  const flags = ['--auto-compaction-retention', '1s']
  await using server = await EtcdServer.start('embedded', { inMemory: true, flags })
  using channel = new Channel({ endpoints: [server.endpoint] })
  using watch = await TestWatch.open(server.endpoint)
  watch.create({ key: bytes('key/'), rangeEnd: bytes('key0') })
  await watch.next()
  const writing = (async () => {
    for (let round = 0; round < 8; round++) {
      await change(channel, 500)
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
  })()
  let next = 2n
  while (next < 4002n) {
    for (const { kv } of (await watch.next())?.events ?? []) expect(kv?.modRevision).toBe(next++)
  }
  await writing
  await eventually('it has compacted meanwhile', async () =>
    (await historyAt(channel, 100n)) === COMPACTED ? true : undefined,
  )
}, 60_000)
