// Kills a store in the middle of writes, again and again, and looks whether everything it acknowledged is there.
import { Channel } from '../../src/store/etcd/channel.ts'
import { EtcdError } from '../../src/store/etcd/error.ts'
import { KV, Lease } from './etcd-api.ts'
import { EtcdServer } from './etcd.ts'

const WRITERS = 8
const LEASE_ID = 4711n

/** What a writer knows of its key: the last state acknowledged, and the one asked for when the store was killed. */
interface Writer {
  readonly key: Uint8Array
  acknowledged: { readonly value: string | undefined; readonly revision: bigint }
  asked: string | undefined
  writes: number
}

export interface KillReport {
  readonly rounds: number
  readonly acknowledged: number
  /** Sentences; empty when nothing was lost. */
  readonly losses: readonly string[]
}

/** So many lives of one embedded store, each ended by SIGKILL at some moment while eight clients write. */
export async function killStore(rounds: number): Promise<KillReport> {
  await using server = await EtcdServer.start('embedded')
  const writers: Writer[] = Array.from({ length: WRITERS }, (_, index) => ({
    key: new Uint8Array(Buffer.from(`writer/${index}`)),
    acknowledged: { value: undefined, revision: 0n },
    asked: undefined,
    writes: 0,
  }))
  const losses: string[] = []
  for (let round = 0; round < rounds; round++) {
    using channel = new Channel({ endpoints: [server.endpoint] })
    if (round === 0) await channel.unary(Lease.leaseGrant, { ID: LEASE_ID, TTL: 3600n }, soon())
    const writing = writers.map((writer) => write(channel, writer))
    await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 120))
    await server.kill()
    await Promise.all(writing)
    await server.up()
    using after = new Channel({ endpoints: [server.endpoint] })
    for (const writer of writers)
      losses.push(...(await lost(after, writer)).map((loss) => `life ${round}: ${loss}`))
  }
  const acknowledged = writers.reduce((sum, { writes }) => sum + writes, 0)
  return { rounds, acknowledged, losses }
}

/** Puts, transactions and now and then a deletion of the writer's one key, until the store is gone. */
async function write(channel: Channel, writer: Writer): Promise<void> {
  for (;;) {
    const value = `${writer.writes} ${'x'.repeat((writer.writes * 37) % 3000)}`
    const kind = writer.writes % 5
    writer.asked = kind === 4 ? undefined : value
    try {
      const revision = await writeOnce(channel, writer.key, kind, value)
      writer.acknowledged = { value: writer.asked, revision }
      writer.writes++
    } catch (error) {
      if (error instanceof EtcdError) return
      throw error
    }
  }
}

async function writeOnce(channel: Channel, key: Uint8Array, kind: number, value: string): Promise<bigint> {
  const put = { key, value: new Uint8Array(Buffer.from(value)), lease: kind === 1 ? LEASE_ID : 0n }
  const { header } =
    kind === 4
      ? await channel.unary(KV.deleteRange, { key }, soon())
      : kind === 3
        ? await channel.unary(KV.txn, { success: [{ request: { case: 'requestPut', value: put } }] }, soon())
        : await channel.unary(KV.put, put, soon())
  return header?.revision ?? 0n
}

/** A key may hold what was acknowledged last, or what was asked for after that and never answered; nothing else. */
async function lost(channel: Channel, writer: Writer): Promise<string[]> {
  const { kvs, header } = await channel.unary(KV.range, { key: writer.key }, soon())
  const held = kvs[0] === undefined ? undefined : Buffer.from(kvs[0].value).toString()
  const { value, revision } = writer.acknowledged
  const name = Buffer.from(writer.key).toString()
  const losses: string[] = []
  if (held !== value && held !== writer.asked) {
    losses.push(`${name} holds ${held?.slice(0, 20)} where ${value?.slice(0, 20)} was acknowledged`)
  }
  if ((header?.revision ?? 0n) < revision) {
    losses.push(`revision ${header?.revision} is older than ${revision}, which was acknowledged for ${name}`)
  }
  if (held === value && value !== undefined && kvs[0]?.modRevision !== revision && held !== writer.asked) {
    losses.push(`${name} has revision ${kvs[0]?.modRevision} where ${revision} was acknowledged`)
  }
  return losses
}

function soon(): AbortSignal {
  return AbortSignal.timeout(10_000)
}
