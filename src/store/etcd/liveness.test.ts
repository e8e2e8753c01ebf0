// How a connection to a real etcd is kept an eye on: pings while something is open, never so many that etcd hangs up.
import { expect, test } from 'bun:test'
import { connect, createServer, type AddressInfo } from 'node:net'
import { EtcdServer } from '../../../test/support/etcd.ts'
import { Collector } from '../../../test/support/store-world.ts'
import { Channel } from './channel.ts'
import { keysUnder, oneKey, put, read, transact } from './kv.ts'
import { watch } from './watch.ts'

const PREFACE_BYTES = 24
const FRAME_HEADER_BYTES = 9
const PING = 6
const ACK = 1

/** A line to etcd that notes when pings of the client's own pass (RFC 9113 §6.7). */
class Tap implements Disposable {
  readonly pings: number[] = []
  connections = 0
  readonly #server = createServer((near) => {
    this.connections++
    const far = connect(this.#port, '127.0.0.1')
    let bytes = Buffer.alloc(0)
    let skip = PREFACE_BYTES
    near.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      while (bytes.length >= skip + FRAME_HEADER_BYTES) {
        const [length, type, flags] = [bytes.readUIntBE(skip, 3), bytes[skip + 3], bytes[skip + 4] ?? 0]
        if (type === PING && (flags & ACK) === 0) this.pings.push(performance.now())
        bytes = bytes.subarray(skip + FRAME_HEADER_BYTES)
        skip = length
      }
      far.write(chunk)
    })
    far.on('data', (chunk: Buffer) => near.write(chunk))
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const)
      one.on('error', () => other.destroy()).on('close', () => other.destroy())
  })
  readonly #port: number

  private constructor(port: number) {
    this.#port = port
  }

  static async to(port: number): Promise<Tap> {
    const tap = new Tap(port)
    await new Promise<void>((resolve) => tap.#server.listen(0, '127.0.0.1', resolve))
    return tap
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  [Symbol.dispose](): void {
    this.#server.close()
  }
}

test('a quiet watch is proved alive by pings 5.5 s apart or more, all on one connection; nothing else is pinged', async () => {
  await using server = await EtcdServer.start('etcd', { inMemory: true })
  using watched = await Tap.to(server.port)
  using idle = await Tap.to(server.port)
  const stop = new AbortController()
  using channel = new Channel({ endpoints: [watched.endpoint] })
  using other = new Channel({ endpoints: [idle.endpoint] })
  await read(other, oneKey('a'), stop.signal)
  const batches = new Collector(watch(channel, keysUnder('k'), 1n, stop.signal))
  await batches.until(() => true)
  while (watched.pings.length < 2) {
    // Calls that come and go beside it change nothing in that.
    await read(channel, oneKey('a'), stop.signal)
    await Bun.sleep(100)
  }
  const gaps = watched.pings.slice(1).map((at, i) => at - (watched.pings[i] ?? 0))
  for (const gap of gaps) expect(gap).toBeGreaterThan(5_500)
  await transact(channel, [], [put('k', 'v', 0n)], stop.signal)
  await batches.until(({ events }) => events.length > 0)
  expect([watched.connections, idle.connections, idle.pings]).toEqual([1, 1, []])
  stop.abort(new Error('the test is over'))
  await batches.end()
}, 60_000)
