// Foreign changes cost nothing: the kernel drops them before they wake us. Lost notifications cost one look.
import { expect, test } from 'bun:test'
import { setTimeout } from 'node:timers/promises'
import { dataplaneHost, soon } from '../../test/support/dataplane.ts'
import { breakMonitor } from '../../test/support/deaf.ts'
import { wakeCount } from '../sys/readiness.ts'

test('a thousand foreign neighbours and routes wake nobody', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await host.settled()
  await setTimeout(20)
  const { rounds } = reconciler.report()
  const before = wakeCount
  await host.sh(
    `for i in $(seq 250); do
       echo neigh replace 192.168.7.$i lladdr 02:00:00:00:00:01 dev eth0 nud permanent
       echo neigh del 192.168.7.$i dev eth0
       echo route add 10.99.$i.0/24 via 192.168.7.1 proto bird
     done | ip -batch -`,
  )
  await setTimeout(20)
  expect(wakeCount - before).toBe(0)
  expect(reconciler.report().rounds).toBe(rounds)
})

test('a busy host’s links cost no look at anything', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await host.settled()
  const { rounds } = reconciler.report()
  await host.sh(
    'for i in 1 2 3; do ip link add pod$i type veth peer name pod$i-peer; ip link set pod$i up; ip addr add 10.1.0.$i/32 dev pod$i; ip link del pod$i; done',
  )
  await reconciler.settled(soon())
  expect(reconciler.report().rounds).toBe(rounds)
})

test('notifications that overran the socket are made good by a look at everything', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await host.settled()
  const { dumps } = reconciler.report().kinds.link ?? { dumps: NaN }
  // While this process stands still, more than its socket holds; what matters comes last and is lost.
  host.shAtOnce(
    `i=0; while [ $i -lt 8000 ]; do echo link set eth0-peer alias x$i; i=$((i+1)); done | ip -batch -
     ip neigh del 10.2.1.0 dev flannel.1; ip route flush proto 104 || true; ip nexthop flush`,
  )
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  // Nothing but the overrun says that links must be looked at.
  expect(reconciler.report().kinds.link?.dumps).toBe(dumps + 1)
})

test('a socket of notifications that breaks costs one look at everything, and is replaced', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await host.settled()
  using _nothing = await breakMonitor(host)
  host.shAtOnce('ip neigh del 10.2.1.0 dev flannel.1')
  await reconciler.settled(soon())
  while (reconciler.report().repairs < 1) await setTimeout(5)
  host.shAtOnce('ip neigh del 10.2.1.0 dev flannel.1')
  while (reconciler.report().repairs < 2) await setTimeout(5)
  expect(await reconciler.drift()).toEqual([])
})
