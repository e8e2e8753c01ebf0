// Taking a lease from a store that is nearly full: 59,000 of 60,000 subnets are taken. The list of them is most of the
// work, so beside it stands etcdctl reading the same list.
import { spawnSync } from 'node:child_process'
import { Channel } from '../src/store/etcd/channel.ts'
import { put, transact } from '../src/store/etcd/kv.ts'
import { EtcdStore } from '../src/store/etcd/store.ts'
import { EtcdServer } from '../test/support/etcd.ts'
import { leaseKey, leaseValue, PREFIX, wishOf } from '../test/support/store-world.ts'
import { rounds, type Bench } from './measure.ts'

const TAKEN = 59_000
const CONFIG = {
  Network: '10.0.0.0/8',
  SubnetLen: 24,
  SubnetMin: '10.0.1.0',
  SubnetMax: '10.234.96.0',
  Backend: { Type: 'vxlan' },
}
const ROUNDS = 9
/** etcd takes at most 128 operations in one transaction. */
const AT_ONCE = 100
const never = new AbortController().signal

export const acquire: Bench = {
  name: 'acquire',
  what: `a lease where ${TAKEN} of 60,000 subnets are taken, beside etcdctl listing them`,
  async run(note) {
    await using server = await EtcdServer.start('etcd', { inMemory: true })
    await fill(server)
    let number = 0
    const taken = await rounds(ROUNDS, {
      heddle: async () => timed(() => acquired(server, `192.168.3.${++number}`)),
      etcdctl: async () => timed(async () => list(server)),
    })
    note(`heddle ${taken.heddle.map(Math.round).join(', ')} ms`)
    const beside = { name: 'etcdctl get --prefix', values: taken.etcdctl }
    const goals = [{ of: 'ratio', atMost: 1.5 } as const]
    return [{ what: `a lease beside ${TAKEN} others`, unit: 'ms', heddle: taken.heddle, beside, goals }]
  },
}

async function fill(server: EtcdServer): Promise<void> {
  using channel = new Channel({ endpoints: [server.endpoint] })
  for (let from = 1; from <= TAKEN; from += AT_ONCE) {
    const puts = Array.from({ length: Math.min(AT_ONCE, TAKEN - from + 1) }, (_, index) => {
      const [high, low] = [(from + index) >> 8, (from + index) & 255]
      const data = { VNI: 1, VtepMAC: '02:42:00:00:00:01' }
      return put(leaseKey(`10.${high}.${low}.0-24`), leaseValue(`172.16.${high}.${low}`, data), 0n)
    })
    await transact(channel, [], puts, never)
  }
}

/** As a daemon that starts: a connection of its own, and the snapshot that its peers are made from. */
async function acquired(server: EtcdServer, publicIp: string): Promise<void> {
  await using store = new EtcdStore({ endpoints: [server.endpoint], prefix: PREFIX, renewMarginMinutes: 60 })
  await using _ = await store.acquire(wishOf(publicIp, CONFIG), never)
  for await (const event of store.leases(never)) if (event.kind === 'snapshot') return
}

function list(server: EtcdServer): void {
  const done = spawnSync('etcdctl', [`--endpoints=${server.endpoint}`, 'get', '--prefix', PREFIX], {
    env: { ...process.env, ETCDCTL_API: '3' },
    maxBuffer: 1 << 28,
  })
  if (done.status !== 0) throw new Error(`etcdctl failed: ${String(done.stderr)}`)
}

async function timed(act: () => Promise<void>): Promise<number> {
  const started = performance.now()
  await act()
  return performance.now() - started
}
