// VXLAN devices: changed in place where the kernel takes it, made anew only where it doesn't, never at the cost of a
// device that isn't ours.
import { describe, expect, test } from 'bun:test'
import { setTimeout } from 'node:timers/promises'
import { dataplaneHost, device, ownObjects, peer, soon } from '../../test/support/dataplane.ts'
import { ip, mac } from '../../test/support/values.ts'
import type { Link } from '../model/kernel.ts'

const CHANGES: readonly [string, Link, 'in place' | 'anew'][] = [
  ['MAC', device({ mac: mac('02:00:00:00:00:77') }), 'in place'],
  ['MTU', device({ mtuBytes: 1400 }), 'in place'],
  ['local address', device({ vxlan: { local: ip('192.168.0.2') } }), 'in place'],
  ['underlay link', device({ vxlan: { underlay: 'eth1' } }), 'in place'],
  ['learning', device({ vxlan: { learning: true } }), 'in place'],
  [
    'all of these',
    device({
      mac: mac('02:00:00:00:00:77'),
      mtuBytes: 1400,
      vxlan: { learning: true, underlay: 'eth1', local: ip('192.168.0.2') },
    }),
    'in place',
  ],
  ['VNI', device({ vxlan: { vni: 2 } }), 'anew'],
  ['port', device({ vxlan: { port: 4789 } }), 'anew'],
  ['group policy', device({ vxlan: { gbp: true } }), 'anew'],
]

describe('a changed device is changed', () => {
  for (const [what, changed, how] of CHANGES)
    test(`${how} for another ${what}`, async () => {
      await using host = await dataplaneHost()
      await host.sh(
        'ip link add eth1 type veth peer name eth1-peer; ip link set eth1 up; ip addr add 192.168.0.2/32 dev eth1',
      )
      await using reconciler = await host.settled()
      const index = host.index('flannel.1')
      reconciler.want('device', ownObjects(changed))
      await reconciler.settled(soon())
      expect([...reconciler.failures]).toEqual([])
      expect(await reconciler.drift()).toEqual([])
      expect(host.index('flannel.1') === index ? 'in place' : 'anew').toBe(how)
      expect(host.link('flannel.1').up).toBe(true)
    })
})

test('a device of our tunnel under another name gets its name back', async () => {
  await using host = await dataplaneHost()
  await host.sh(
    'ip link add old0 address 02:00:00:00:00:01 type vxlan id 1 dstport 8472 local 192.168.0.1 dev eth0 nolearning; ip link set old0 up',
  )
  const index = host.index('old0')
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  await reconciler.settled(soon())
  expect(host.index('flannel.1')).toBe(index)
  expect(await reconciler.drift()).toEqual([])
})

test('a device of ours keeps its index when it has been renamed and given another MAC', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  await reconciler.settled(soon())
  const index = host.index('flannel.1')
  host.shAtOnce('ip link set flannel.1 name odd0; ip link set odd0 address 02:00:00:00:00:fe')
  await reconciler.settled(soon())
  expect(host.index('flannel.1')).toBe(index)
  expect(await reconciler.drift()).toEqual([])
})

test('a device of ours gets its name back from another tunnel', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  reconciler.want('lease', peer(1))
  reconciler.complete()
  await reconciler.settled(soon())
  const index = host.index('flannel.1')
  host.shAtOnce(
    'ip link add vx0 type vxlan id 77 dev eth0 dstport 4789; ip link set flannel.1 name odd0; ip link set vx0 name flannel.1',
  )
  await reconciler.settled(soon())
  expect(host.index('flannel.1')).toBe(index)
  expect(await reconciler.drift()).toEqual([])
  expect([...reconciler.failures]).toEqual([])
})

for (const [what, more] of [
  ['', ''],
  [' and MAC, with a remote', 'address 02:00:00:00:00:01 type vxlan remote 192.168.0.9'],
] as const)
  test(`a stranger's device with our VNI and port${what} is a failure, and stays as it is`, async () => {
    await using host = await dataplaneHost()
    const [link, remote] = more.split(' type vxlan ')
    await host.sh(
      `ip link add vx0 ${link} type vxlan id 1 dstport 8472 dev eth0 local 192.168.0.1 ${remote ?? ''}
       ip addr add 10.50.0.1/24 dev vx0; ip link set vx0 up`,
    )
    const state = () => host.sh('ip -d -o link show vx0; ip -o address show vx0; ip route show dev vx0')
    const before = await state()
    await using reconciler = host.reconciler()
    reconciler.want('device', ownObjects())
    reconciler.complete()
    await reconciler.settled(soon())
    expect(reconciler.failures.get('link flannel.1')?.reason).toBe(
      "VNI 1, port 8472 is in use by vx0, which is not heddle's: remove it, or use another VNI or Port",
    )
    expect(await state()).toBe(before)
    await host.sh('ip link del vx0')
    while (reconciler.failures.size > 0) await setTimeout(20)
    expect(await reconciler.drift()).toEqual([])
  })

test('a device of our name but another type is a failure, and stays', async () => {
  await using host = await dataplaneHost()
  await host.sh('ip link add flannel.1 type bridge')
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  reconciler.complete()
  await reconciler.settled(soon())
  expect(reconciler.failures.get('link flannel.1')?.reason).toBe(
    "flannel.1 is a bridge device, not VXLAN, and not heddle's to remove: rename or delete it (ip link del flannel.1), or use another VNI",
  )
  expect(host.link('flannel.1').type).toBe('bridge')
})

describe('weak point 12: of a device that is there', () => {
  const made = (more: string) =>
    `ip link add flannel.1 type vxlan id 1 dstport 8472 local 192.168.0.1 dev eth0 ${more}`
  for (const [what, commands, how] of [
    [
      'all that can be is changed in place',
      `${made('ageing 77 ttl 5 tos 4 remote 192.168.0.9 learning')}
      ip link set flannel.1 address 02:00:00:00:00:99 mtu 1400`,
      'in place',
    ],
    ['what can’t be changed costs it', made('maxaddress 5 nolearning'), 'anew'],
    ['a flag that can’t be changed costs it', made('l3miss'), 'anew'],
  ] as const)
    test(what, async () => {
      await using host = await dataplaneHost()
      await host.sh(commands)
      const index = host.index('flannel.1')
      await using reconciler = host.reconciler()
      reconciler.want('device', ownObjects())
      reconciler.want('lease', peer(1))
      reconciler.complete()
      await reconciler.settled(soon())
      expect(host.index('flannel.1') === index ? 'in place' : 'anew').toBe(how)
      const device = await host.sh('ip -d link show flannel.1')
      expect(device).toMatch(/mtu 1450[^]*02:00:00:00:00:01[^]* nolearning ttl auto ageing 300 /)
      expect(device).not.toMatch(/remote|tos|l3miss/)
      expect(await reconciler.drift()).toEqual([])
      // As it was once more, under way.
      if (how === 'anew') return
      for (const change of ['ageing 33', 'learning', 'ttl 9', 'tos 8', 'remote 192.168.0.8']) {
        await host.sh(`ip link set flannel.1 type vxlan id 1 ${change}`)
        await reconciler.settled(soon())
        expect(await host.sh('ip -d link show flannel.1')).toContain(
          'dstport 8472 nolearning ttl auto ageing 300 ',
        )
      }
      expect(await host.sh('ip -d link show flannel.1')).not.toContain('remote')
      expect(host.index('flannel.1')).toBe(index)
    })
})

test('an MTU that the underlay can’t carry is told, not clipped in silence', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects())
  reconciler.want('lease', peer(1))
  await reconciler.settled(soon())
  reconciler.want('device', ownObjects(device({ mtuBytes: 9000, vxlan: { gbp: true } })))
  await reconciler.settled(soon())
  // What is on the device is there all the same.
  expect(await reconciler.drift()).toMatchObject([{ kind: 'link', key: 'flannel.1', what: 'different' }])
  expect(reconciler.failures.get('link flannel.1')?.reason).toContain('MTU')
})

test('a device that nobody wants any more goes, with all that is on it', async () => {
  await using host = await dataplaneHost()
  await using reconciler = await host.settled()
  reconciler.forget('device')
  reconciler.forget('lease')
  await reconciler.settled(soon())
  expect((await host.sh('ip -br link')).includes('flannel.1')).toBe(false)
  expect(await host.sh('ip nexthop; ip route show proto 104')).toBe('')
  expect(reconciler.report().repairs).toBe(0)
})
