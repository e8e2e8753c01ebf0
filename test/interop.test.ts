// A host with upstream's flanneld v0.28.9 in a network of heddle's: pods reach each other in all directions, and
// upstream keeps its peers whatever heddle does in the store.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { Changes } from './support/changes.ts'
import { ETCD_KINDS } from './support/etcd.ts'
import { Flanneld } from './support/flanneld.ts'
import { eventually } from './support/process.ts'
import { Segment, type Host, type Pod } from './support/segment.ts'
import { networkConfig, PREFIX, TestStore } from './support/stores.ts'

setDefaultTimeout(60_000)

const [UPSTREAM, FIRST, SECOND] = [1, 2, 3]

/** Upstream's routes to the others, wherever its back end puts them. */
const routesTo = async (host: Host, others: readonly Host[]): Promise<number> => {
  const table = await host.sh('ip route show')
  return others.filter((other) => table.includes(`${other.subnet} via`)).length
}

for (const type of ['vxlan', 'host-gw'])
  for (const kind of ETCD_KINDS)
    describe(`upstream and heddle, ${type}, ${kind === 'etcd' ? 'a real etcd' : 'the embedded store'}:`, () => {
      test('pods reach each other both ways, and upstream never loses a peer', async () => {
        await using segment = await Segment.create(3)
        await using store = await TestStore.start(kind, segment, networkConfig({ Type: type }))
        // Alone at first: it ends where another host takes the subnet that it is about to take.
        await using upstream = await Flanneld.start(segment.host(UPSTREAM), store, { make: 'upstream' })
        await using first = Flanneld.launch(segment.host(FIRST), store)
        await using second = Flanneld.launch(segment.host(SECOND), store)
        await Promise.all([first.ready(), second.ready()])
        const pods = await Promise.all(segment.hosts.map((host) => host.pod()))
        await reachAll(pods)

        const others = [segment.host(FIRST), segment.host(SECOND)]
        expect(await routesTo(upstream.host, others)).toBe(2)
        using changes = new Changes(upstream.host)
        // What isn't a lease lives apart from leases; a restart of heddle is no news to upstream.
        store.put(`${PREFIX}/heddle/test`, '{}')
        store.delete(`${PREFIX}/heddle/test`)
        await first.end('SIGKILL')
        await using again = await Flanneld.start(first.host, store)
        await second.end('SIGTERM')
        await using anew = await Flanneld.start(second.host, store)
        await reachAll(pods)
        expect((await changes.take()).filter((change) => change.startsWith('del'))).toEqual([])
        expect(await routesTo(upstream.host, others)).toBe(2)
        expect([...store.leases().keys()].length).toBe(3)
        for (const flanneld of [upstream, again, anew]) expect(flanneld.process.running).toBe(true)
      })
    })

async function reachAll(pods: readonly Pod[]): Promise<void> {
  for (const from of pods)
    for (const to of pods)
      if (from !== to)
        await eventually(
          `${from.ip} reaches ${to.ip}`,
          async () => (await from.reaches(to.ip)) || undefined,
          15,
        )
}
