// What the kernel refuses holds up nothing else, neither of that family nor of the other; it is told in the kernel's own
// words, and tried again with growing pauses until it goes in.
import { expect, test } from 'bun:test'
import { soon } from '../../test/support/dataplane.ts'
import { DEVICES, devices, NOTHING, PAIR_SCOPE, Pair, way } from '../../test/support/pair.ts'
import { eventually } from '../../test/support/process.ts'
import { ip, prefix } from '../../test/support/values.ts'
import { route } from '../model/kernel.ts'

const TUNNEL = { by: 'tunnel', through: 'nexthop' } as const
/** Nothing leads there, so the kernel takes no gateway of these addresses. */
const refused = (to: string, via: string) =>
  route({ to: prefix(to), via: ip(via), link: 'eth0', onLink: false, through: 'plain' })
const ROUTES = [refused('10.244.77.0/24', '203.0.113.1'), refused('fd00:244:0:77::/64', '2001:db8::1')]

test('weak point 8: a device that can’t be made, and routes that can’t be put', async () => {
  await using pair = await Pair.create()
  const { near } = pair
  // The name of the device for IPv6 is taken.
  await near.sh(`ip link add ${DEVICES.ipv6} type bridge`)
  const bridge = () =>
    near.sh(
      `ip -o addr show ${DEVICES.ipv6}; ip neigh show dev ${DEVICES.ipv6} nud permanent; bridge fdb show dev ${DEVICES.ipv6}`,
    )
  const strangers = await bridge()
  await using reconciler = near.reconciler({ scope: PAIR_SCOPE })
  const startedMs = performance.now()
  reconciler.want('refused', ROUTES)
  reconciler.want('device', devices(1))
  reconciler.want('lease', way(2, TUNNEL))
  reconciler.complete()
  await reconciler.settled(soon())
  // All of IPv4 is there, and of IPv6 what depends on nothing that is refused.
  expect(await pair.near.sh('ping -n -q -c 1 -W 2 10.244.2.9')).toContain(' 0% packet loss')
  const reasons = () => new Map([...reconciler.failures].map(([key, { reason }]) => [key, reason]))
  expect(reasons().get(`link ${DEVICES.ipv6}`)).toContain('is a bridge device, not VXLAN')
  expect(reasons().get('route 10.244.77.0/24')).toContain('Nexthop has invalid gateway')
  expect(reasons().get('route fd00:244:0:77::/64')).toContain('EHOSTUNREACH')

  // Tried again, but no more often than the growing pauses allow: 100 ms, 200 ms, 400 ms …
  const tries = () => Math.min(...[...reconciler.failures.values()].map((failure) => failure.tries))
  await eventually('all are tried again', () => tries() > 2 || undefined)
  expect(await bridge()).toBe(strangers)
  const elapsedMs = performance.now() - startedMs
  const most = Math.max(...[...reconciler.failures.values()].map((failure) => failure.tries))
  expect(most).toBeLessThanOrEqual(1 + Math.log2(elapsedMs / 100 + 1))
  expect(reconciler.report().rounds).toBeLessThan(4 * most + 10)

  await near.sh(`
    ip link del ${DEVICES.ipv6}
    ip route add 203.0.113.0/24 dev eth0; ip -6 route add 2001:db8::/64 dev eth0`)
  await eventually('nothing is refused any more', () => reconciler.failures.size === 0 || undefined, 20)
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  expect(await pair.lossDuring(async () => undefined)).toEqual(NOTHING)
})
