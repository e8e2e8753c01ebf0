// The daemon on paths that are smaller than its interface, and change: transfers between pods go on, whoever is at the
// other end, and whether routers tell of what they drop or not.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { Flanneld } from '../support/flanneld.ts'
import { Narrows } from '../support/narrows.ts'
import { eventually } from '../support/process.ts'
import type { Host } from '../support/segment.ts'
import { CONFIG_KEY, networkConfig, TestStore } from '../support/stores.ts'
import { Transfer } from '../support/transfer.ts'

setDefaultTimeout(90_000)

const DUAL = { EnableIPv6: true, IPv6Network: 'fd00:5::/48', IPv6SubnetMin: 'fd00:5:0:100::' }
const LONGEST_PAUSE_SECONDS = 5

const routes = async (host: Host): Promise<string> =>
  `${await host.sh('ip route show proto 104')}\n${await host.sh('ip -6 route show proto 104')}`
/** Waits until the routes to peers have this MTU, or none. */
const has = (host: Host, mtuBytes: number | undefined, family = '') =>
  eventually(
    `${host.name} has ${mtuBytes === undefined ? 'no MTU' : `MTU ${mtuBytes}`} on its routes`,
    async () => {
      const shown = await host.sh(`ip ${family} route show proto 104`)
      return (mtuBytes === undefined ? !shown.includes('mtu') : shown.includes(` ${mtuBytes}`)) || undefined
    },
    45,
  )

const clamps = (host: Host, does: boolean) =>
  eventually(`${host.name} ${does ? 'clamps' : 'clamps no more'}`, async () => {
    const ruleset = await host.sh('nft list ruleset')
    return ruleset.includes('table ip heddle-mss') === does || undefined
  })

for (const icmp of ['with ICMP', 'without ICMP'])
  test(`weak point 11: transfers by both families go on as a router's MTU falls twice, ${icmp}`, async () => {
    await using narrows = await Narrows.create()
    const { first, second } = narrows
    await using store = await TestStore.start('etcd', narrows.segment, networkConfig({ Type: 'vxlan' }, DUAL))
    if (icmp === 'without ICMP') await narrows.silence()
    await using one = await Flanneld.start(first, store)
    await using two = await Flanneld.start(second, store)
    const [from, to] = [await first.pod(), await second.pod()]
    await using there = await Transfer.start(from, to, to.ips[0] ?? '')
    await using there6 = await Transfer.start(from, to, to.ips[1] ?? '', 5202)
    await using back = await Transfer.start(to, from, from.ips[0] ?? '')
    for (const outer of [1400, 1300]) {
      await narrows.mtu(outer)
      await has(first, outer - 50)
      // IPv6 has 1280 bytes at least (RFC 8200), which are 1350 outside: of a smaller path nothing can be told.
      if (outer >= 1350) await has(first, outer - 70, '-6')
      await has(second, outer - 50)
      const served = outer >= 1350 ? [there, there6, back] : [there, back]
      await Promise.all(served.map((transfer) => transfer.goesOn()))
      for (const { longestPauseSeconds } of served)
        expect(longestPauseSeconds).toBeLessThanOrEqual(LONGEST_PAUSE_SECONDS)
    }
    const { pathMtu } = await one.report()
    expect(pathMtu?.small).toContainEqual({ subnet: second.subnet, remote: second.ip, mtuBytes: 1250 })
    expect((await one.ask('/metrics')).body).toContain('\nheddle_small_paths 2\n')
    if (icmp === 'with ICMP') return
    // A restart changes nothing by itself.
    await one.end('SIGKILL')
    const before = await routes(first)
    {
      await using _again = await Flanneld.start(first, store)
      expect(await routes(first)).toBe(before)
      await has(first, 1250)
    }
    await narrows.mtu(1500)
    await using anew = await Flanneld.start(first, store)
    await has(first, undefined)
    await clamps(first, false)
    await Promise.all([there.goesOn(), back.goesOn()])
    for (const flanneld of [anew, two]) expect(flanneld.process.running).toBe(true)
  })

test('a host of upstream answers as well, and transfers to it go on', async () => {
  await using narrows = await Narrows.create()
  const { first, second } = narrows
  await using store = await TestStore.start('etcd', narrows.segment, networkConfig({ Type: 'vxlan' }))
  await narrows.silence()
  await using upstream = await Flanneld.start(second, store, { make: 'upstream' })
  await using one = await Flanneld.start(first, store)
  const [from, to] = [await first.pod(), await second.pod()]
  await using there = await Transfer.start(from, to, to.ip)
  await narrows.mtu(1400)
  await has(first, 1350)
  await there.goesOn()
  // The other host knows of no smaller path: a pod there that no pod of ours has sent to hears of it as it connects.
  await clamps(first, true)
  const stranger = await second.pod()
  await using back = await Transfer.start(stranger, from, from.ip)
  await back.goesOn()
  expect(there.longestPauseSeconds).toBeLessThanOrEqual(LONGEST_PAUSE_SECONDS)
  for (const flanneld of [upstream, one]) expect(flanneld.process.running).toBe(true)
})

test('--mtu-probe=off and a configured MTU ask nobody', async () => {
  await using narrows = await Narrows.create()
  const { first, second } = narrows
  await using store = await TestStore.start(
    'etcd',
    narrows.segment,
    networkConfig({ Type: 'vxlan', MTU: 1450 }),
  )
  await narrows.silence()
  await narrows.mtu(1400)
  // What else asks through tunnels is of no interest here.
  const args = ['--checksum-offload=on']
  await using one = await Flanneld.start(first, store, { args })
  await using two = await Flanneld.start(second, store, { args: [...args, '--mtu-probe=off'] })
  await eventually('they have each other', async () => {
    const [a, b] = await Promise.all([first, second].map((host) => routes(host)))
    return (a?.includes('via') && b?.includes('via')) || undefined
  })
  for (const host of [first, second]) {
    expect(host.subnetValue('FLANNEL_MTU')).toBe('1400')
    // Neither hears nor sends anything of its own: a line is the heading.
    for (const file of ['packet', 'raw', 'raw6'])
      expect((await host.sh(`cat /proc/net/${file}`)).trim().split('\n')).toHaveLength(1)
    expect(await routes(host)).not.toContain('mtu')
  }
  expect((await one.report()).pathMtu).toMatchObject({ asked: false, small: [] })
  expect((await two.report()).pathMtu).toBeUndefined()
  // What hears for the first one shows where nobody forbids it.
  store.put(CONFIG_KEY, networkConfig({ Type: 'vxlan' }))
  await has(first, 1350)
  expect((await first.sh('cat /proc/net/packet')).trim().split('\n')).toHaveLength(2)
})
