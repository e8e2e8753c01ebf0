// A route that can't be moved to its new way keeps all of its old one, until it can.
import { expect, test } from 'bun:test'
import { dataplaneHost, ownObjects, peer, soon } from '../../test/support/dataplane.ts'
import { eventually } from '../../test/support/process.ts'
import { ip, prefix } from '../../test/support/values.ts'
import { route } from '../model/kernel.ts'

for (const through of ['nexthop', 'plain'] as const)
  test(`the old way stays as long as the new one is refused (${through})`, async () => {
    await using host = await dataplaneHost()
    await using reconciler = host.reconciler()
    reconciler.want('device', ownObjects())
    reconciler.want('lease', peer(1, { through }))
    reconciler.complete()
    await reconciler.settled(soon())
    const state = () =>
      host.sh(
        'ip route show proto 104; ip nexthop; ip neigh show dev flannel.1; bridge fdb show dev flannel.1',
      )
    const before = await state()
    // Nothing on eth0 leads there, so the kernel takes no gateway of that address.
    const direct = { via: ip('203.0.113.1'), link: 'eth0', onLink: false, through: 'plain' } as const
    reconciler.want('lease', [route({ to: prefix('10.2.1.0/24'), ...direct })])
    await reconciler.settled(soon())
    expect(await state()).toBe(before)
    const failure = reconciler.failures.get('route 10.2.1.0/24')
    expect(failure?.reason).toContain('Nexthop has invalid gateway')
    expect(failure?.source).toBe('lease')
    await host.sh('ip route add 203.0.113.0/24 dev eth0')
    await eventually('no failures', () => reconciler.failures.size === 0 || undefined)
    expect(await state()).toBe('10.2.1.0/24 via 203.0.113.1 dev eth0 \n')
    expect(await reconciler.drift()).toEqual([])
  })
