// A storm of link and address changes that overruns every socket of notifications: nothing that it hides is lost.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { dataplaneHost, ownObjects, peer, soon } from '../../test/support/dataplane.ts'
import { GROUP, Monitor } from '../netlink/monitor.ts'

setDefaultTimeout(60_000)

const CHANGES = 20_000
const PEERS = 50

/** What hurts us, as `ip -batch` takes it; each of another kind. */
const HARM = [
  'neigh del 10.2.1.0 dev flannel.1',
  'route del 10.2.2.0/24',
  'link set dev flannel.1 mtu 1300',
  'address del 10.1.0.0/32 dev flannel.1',
  'link set dev flannel.1 address 02:00:00:00:00:99',
  'route replace 10.2.5.0/24 via 10.2.4.0 dev flannel.1 onlink',
  'neigh replace 10.2.6.0 lladdr 02:00:00:00:00:99 dev flannel.1 nud permanent',
  'link set dev flannel.1 down',
  'neigh add 10.2.77.0 lladdr 02:00:00:00:00:98 dev flannel.1 nud permanent',
]

/** Link and address changes of others in one `ip -batch`; in the last quarter with our harm, up to the very end. */
function storm(changes: number): string {
  const calm = changes * 0.75
  const every = Math.floor((changes - calm) / HARM.length)
  return `awk -v harm='${HARM.join('|')}' 'BEGIN {
      split(harm, h, "|")
      for (n = 1; n <= ${changes}; n++) {
        if (n % 2) print "link set dev eth0-peer alias x" n
        else print "address " (n % 4 ? "add" : "del") " 10.99.0.1/32 dev eth0-peer"
        if (n > ${calm} && (n - ${calm}) % ${every} == 0) print h[(n - ${calm}) / ${every}]
      }
    }' | ip -batch -`
}

for (const [what, changes, isStopped] of [
  ['while the daemon stands still', CHANGES, true],
  ['while it heals', CHANGES / 4, false],
] as const)
  test(`${changes} link and address changes ${what}`, async () => {
    await using host = await dataplaneHost()
    await using reconciler = host.reconciler()
    reconciler.want('device', ownObjects())
    for (let n = 1; n <= PEERS; n++)
      reconciler.want(`lease ${n}`, peer(n, { through: n % 2 === 0 ? 'plain' : 'nexthop' }))
    reconciler.complete()
    await reconciler.settled(soon())
    // One as the reconciler has it, which nobody reads.
    using ear = Monitor.open([GROUP.link], { namespace: host.namespace })
    if (isStopped) {
      host.shAtOnce(storm(changes))
      expect(ear.take().some(({ kind }) => kind === 'overrun')).toBe(true)
    } else await host.sh(storm(changes))
    await reconciler.settled(soon())
    expect(await reconciler.drift()).toEqual([])
    expect([...reconciler.failures]).toEqual([])
    expect(reconciler.report().repairs).toBeGreaterThan(PEERS)
  })
