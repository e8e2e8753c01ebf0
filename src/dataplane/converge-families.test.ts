// Whatever form the ways of both families take in whatever order, and whatever others do meanwhile, the kernel ends up
// as wanted.
import { test } from 'bun:test'
import * as fc from 'fast-check'
import { disturbance, endsAsWanted, runs } from '../../test/support/courses.ts'
import { dataplaneHost, soon } from '../../test/support/dataplane.ts'
import { devices, PAIR_SCOPE, way, type Way } from '../../test/support/pair.ts'
import { prefix } from '../../test/support/values.ts'
import { blackhole } from '../model/kernel.ts'

const number = fc.integer({ min: 2, max: 5 })
const form: fc.Arbitrary<Way> = fc.record({
  by: fc.constantFrom('tunnel' as const, 'direct' as const),
  through: fc.constantFrom('plain' as const, 'nexthop' as const),
})
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('want' as const), n: number, form }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('forget' as const), n: number }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  {
    weight: 3,
    arbitrary: disturbance(
      [
        'ip link del flannel-v6.1',
        'ip link set flannel-v6.1 down',
        'ip link set flannel-v6.1 down; ip link set flannel-v6.1 up',
        'ip link set flannel-v6.1 name odd0',
        'ip link set flannel.1 name odd1',
        'ip link set eth0 name lan0',
        'ip link set lan0 name eth0',
        'ip link set eth0 down; ip link set eth0 up; ip addr replace fd00:9::1/64 dev eth0 nodad',
        'ip addr flush dev flannel-v6.1',
        'ip nexthop flush',
        'ip neigh flush dev flannel-v6.1 nud permanent',
        'ip -6 route del fd00:244:0:N::/64',
        'ip route del 10.244.N.0/24',
        'ip -6 route replace fd00:244:0:N::/64 via fd00:244:0:3:: dev flannel-v6.1 onlink',
        'ip -6 route add fd00:244:0:N::/128 dev flannel-v6.1 proto 104',
        'ip -6 neigh del fd00:244:0:N:: dev flannel-v6.1',
        'ip -6 route flush proto 104 type blackhole',
        'ip link set lo down; ip link set lo up',
      ],
      number,
    ),
  },
)

test('any course of forms and disturbances in two families ends without drift', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 20 }), async (steps) => {
      await using host = await dataplaneHost()
      await host.sh(
        `for each in all default; do echo 0 > /proc/sys/net/ipv6/conf/$each/accept_dad; done
         for each in all default; do echo 0 > /proc/sys/net/ipv6/conf/$each/disable_ipv6; done
         ip addr add fd00:9::1/64 dev eth0 nodad; ip link set lo up`,
      )
      const wishes = new Map<number, Way>()
      const start = () => {
        const started = host.reconciler({ scope: PAIR_SCOPE })
        started.want('device', [...devices(1), blackhole(prefix('fd00:244:0:1::/64'))])
        for (const [n, how] of wishes) started.want(`lease ${n}`, way(n, how))
        started.complete()
        return started
      }
      await using stack = new AsyncDisposableStack()
      let reconciler = start()
      stack.defer(() => reconciler[Symbol.asyncDispose]())
      for (const s of steps)
        if (s.do === 'want') {
          wishes.set(s.n, s.form)
          reconciler.want(`lease ${s.n}`, way(s.n, s.form))
        } else if (s.do === 'forget') {
          wishes.delete(s.n)
          reconciler.forget(`lease ${s.n}`)
        } else if (s.do === 'settle') await reconciler.settled(soon())
        else if (s.do === 'disturb') host.shAtOnce(`{ ${s.command}; } 2>/dev/null || true`)
        else {
          // A daemon that comes doesn't know eth0 by another name.
          host.shAtOnce('ip link set lan0 name eth0 2>/dev/null || true')
          await reconciler[Symbol.asyncDispose]()
          reconciler = start()
        }
      await endsAsWanted(reconciler)
    }),
    runs(25),
  )
}, 60_000)
