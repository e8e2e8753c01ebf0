// Whatever is wanted in whatever order, and whatever others do meanwhile, the kernel ends up as wanted.
import { test } from 'bun:test'
import * as fc from 'fast-check'
import { disturbance, endsAsWanted, runs } from '../../test/support/courses.ts'
import { dataplaneHost, ownObjects, peer, soon } from '../../test/support/dataplane.ts'

const PEERS = 6

const number = fc.integer({ min: 1, max: PEERS })
const wish = fc.record({
  do: fc.constant('want' as const),
  n: number,
  mac: fc.integer({ min: 1, max: 4 }),
  dst: fc.integer({ min: 1, max: 4 }),
  through: fc.constantFrom('nexthop' as const, 'plain' as const),
})
const step = fc.oneof(
  { weight: 6, arbitrary: wish },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('forget' as const), n: number }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
  {
    weight: 3,
    arbitrary: disturbance(
      [
        'ip link del flannel.1',
        'ip link set flannel.1 down',
        'ip link set flannel.1 address 02:00:00:00:00:fe',
        'ip link set flannel.1 name odd0',
        'ip link set eth0 name lan0',
        'ip link set lan0 name eth0',
        'ip link set flannel.1 type vxlan ageing 5',
        'ip addr flush dev flannel.1',
        'ip nexthop flush',
        'ip neigh flush dev flannel.1 nud permanent',
        'ip route del 10.2.N.0/24',
        'ip neigh del 10.2.N.0 dev flannel.1',
        'ip neigh replace 10.2.N.0 lladdr 02:00:00:00:00:fe dev flannel.1 nud permanent',
        'bridge fdb del 02:01:00:00:01:0N dev flannel.1',
        'bridge fdb replace 02:01:00:00:01:0N dev flannel.1 dst 192.168.9.9',
        'ip route replace 10.2.N.0/24 via 10.2.1.0 dev flannel.1 onlink',
        'ip route append 10.2.N.0/24 via 10.2.1.0 dev flannel.1 onlink',
      ],
      number,
    ),
  },
)

test('any course of wishes and disturbances ends without drift', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      await using host = await dataplaneHost()
      await using reconciler = host.reconciler()
      reconciler.want('device', ownObjects())
      reconciler.complete()
      for (const s of steps)
        if (s.do === 'want')
          reconciler.want(
            `lease ${s.n}`,
            peer(s.n, {
              mac: `02:01:00:00:0${s.mac}:0${s.n}`,
              dst: `192.168.${s.dst}.${s.n}`,
              through: s.through,
            }),
          )
        else if (s.do === 'forget') reconciler.forget(`lease ${s.n}`)
        else if (s.do === 'settle') await reconciler.settled(soon())
        else host.shAtOnce(`${s.command} || true`)
      await endsAsWanted(reconciler)
    }),
    runs(40),
  )
}, 60_000)
