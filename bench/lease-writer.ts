// Changes leases at a steady pace, as many hosts would: `bun lease-writer.ts ENDPOINT PEERS CHANGES RATE`. Each change
// gives the next peer another VTEP MAC. Prints `MAC MILLISECONDS` for each as it is sent (since 1970), then `done`.
import { Channel } from '../src/store/etcd/channel.ts'
import { put, transact } from '../src/store/etcd/kv.ts'
import { leaseKey, vxlanLease } from '../test/support/stores.ts'
import { macAfter, pause, peers } from './peers.ts'

const [endpoint = '', peerCount, changeCount, rate] = process.argv.slice(2)
using channel = new Channel({ endpoints: [endpoint] })
const list = peers(Number(peerCount))
const { signal } = new AbortController()
const started = performance.now()
const writes: Promise<unknown>[] = []
// Connected before the first one counts.
await transact(channel, [], [put('/bench', 'begin', 0n)], signal)
for (let change = 1; change <= Number(changeCount); change++) {
  const wait = started + (change * 1000) / Number(rate) - performance.now()
  if (wait > 0) await pause(wait / 1000)
  const peer = list[change % list.length]
  if (peer === undefined) break
  const mac = macAfter(change)
  console.log(`${mac} ${performance.timeOrigin + performance.now()}`)
  writes.push(transact(channel, [], [put(leaseKey(peer.subnet), vxlanLease(peer.publicIp, mac), 0n)], signal))
}
await Promise.all(writes)
console.log('done')
