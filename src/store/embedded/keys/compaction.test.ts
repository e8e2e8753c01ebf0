// Compaction of the embedded store: what goes, when, and across a kill.
import { expect, test } from 'bun:test'
import { EtcdServer } from '../../../../test/support/etcd.ts'
import { eventually } from '../../../../test/support/process.ts'
import { Channel } from '../../etcd/channel.ts'
import { KV, Maintenance } from '../../../../test/support/etcd-api.ts'

const KEYS = 10
const ROUNDS = 600
const soon = (): AbortSignal => AbortSignal.timeout(20_000)
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
const value = new Uint8Array(1000)

/** A store whose few keys have changed thousands of times. */
async function fill(channel: Channel): Promise<bigint> {
  let revision = 0n
  for (let round = 0; round < ROUNDS; round++) {
    const puts = Array.from({ length: KEYS }, (_, key) =>
      channel.unary(KV.put, { key: bytes(`key/${key}`), value }, soon()),
    )
    const answers = await Promise.all(puts)
    revision = answers.at(-1)?.header?.revision ?? 0n
  }
  return revision
}

const usedBytes = async (channel: Channel): Promise<bigint> =>
  (await channel.unary(Maintenance.status, {}, soon())).dbSizeInUse

const isSmall = (bytes: bigint): boolean => bytes < BigInt(KEYS * 20 * value.byteLength)

test('a physical compaction answers when the rows are gone, and calls in between are answered', async () => {
  await using server = await EtcdServer.start('embedded', { inMemory: true })
  using channel = new Channel({ endpoints: [server.endpoint] })
  const revision = await fill(channel)
  expect(await usedBytes(channel)).toBeGreaterThan(BigInt(KEYS * ROUNDS * value.byteLength))
  const order: string[] = []
  await Promise.all([
    channel.unary(KV.compact, { revision, physical: true }, soon()).then(() => order.push('compacted')),
    channel.unary(KV.range, { key: bytes('key/1') }, soon()).then(() => order.push('read')),
  ])
  expect(order).toEqual(['read', 'compacted'])
  expect(isSmall(await usedBytes(channel))).toBe(true)
  const { kvs } = await channel.unary(KV.range, { key: bytes('key/'), rangeEnd: bytes('key0') }, soon())
  expect(kvs.map(({ version }) => version)).toEqual(Array.from({ length: KEYS }, () => BigInt(ROUNDS)))
  await channel.unary(Maintenance.defragment, {}, soon())
  expect(isSmall((await channel.unary(Maintenance.status, {}, soon())).dbSize)).toBe(true)
}, 60_000)

test('a compaction cut off by a kill is finished after the next start', async () => {
  await using server = await EtcdServer.start('embedded', { inMemory: true })
  using channel = new Channel({ endpoints: [server.endpoint] })
  const revision = await fill(channel)
  await channel.unary(KV.compact, { revision }, soon())
  await server.kill()
  await server.up()
  await eventually('the rows are gone', async () => (isSmall(await usedBytes(channel)) ? true : undefined))
  const old = channel.unary(KV.range, { key: bytes('key/1'), revision: revision - 1n }, soon())
  expect(await old.catch((error: unknown) => error)).toMatchObject({
    detail: 'etcdserver: mvcc: required revision has been compacted',
  })
}, 60_000)
