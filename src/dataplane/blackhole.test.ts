// Blackhole routes of our own subnets (--ip-blackhole-route), of both families in a real kernel.
import { describe, expect, test } from 'bun:test'
import { DataplaneHost, soon } from '../../test/support/dataplane.ts'
import { kernel } from '../../test/support/kernel.ts'
import { eventually } from '../../test/support/process.ts'
import { prefix } from '../../test/support/values.ts'
import { blackhole } from '../model/kernel.ts'
import type { Reconciler } from './reconciler.ts'

const WORST = 'metric 4294967295'

/** A pod bridge `cni0` that has its address only once `ip addr add` is called. */
async function host(): Promise<DataplaneHost> {
  const { namespace } = await kernel()
  const made = new DataplaneHost(namespace)
  await made.sh(`
    echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
    ip link add cni0 type veth peer name pod; ip link set pod up; ip link set cni0 up`)
  return made
}

for (const v of [
  {
    family: 'IPv4',
    ip: 'ip',
    subnet: '10.1.0.0/24',
    other: '10.1.2.0/24',
    network: '10.1.0.0/16',
    gateway: '10.1.0.1',
    pod: '10.1.0.9',
    ours: `blackhole 10.1.0.0/24 proto 104 ${WORST}`,
  },
  {
    family: 'IPv6',
    ip: 'ip -6',
    subnet: 'fd00:1::/64',
    other: 'fd00:1:0:2::/64',
    network: 'fd00:1::/48',
    gateway: 'fd00:1::1',
    pod: 'fd00:1::9',
    ours: `blackhole fd00:1::/64 dev lo proto 104 ${WORST} pref medium`,
  },
])
  describe(v.family, () => {
    const scope = { links: new Set<string>(), networks: [prefix(v.network)], tables: new Set<string>() }
    const wish = [blackhole(prefix(v.subnet))]
    const routes = async (on: DataplaneHost) =>
      (await on.sh(`${v.ip} route show type blackhole`))
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '')
    const settled = async (on: DataplaneHost, wants: boolean): Promise<Reconciler> => {
      const reconciler = on.reconciler({ scope })
      if (wants) reconciler.want('own subnet', wish)
      reconciler.complete()
      await reconciler.settled(soon())
      return reconciler
    }

    test('weak point 15: it is there at once, and no live route loses against it, whichever came first', async () => {
      await using h = await host()
      const connect = `ip addr add ${v.gateway}/${v.subnet.split('/')[1]} dev cni0`
      const way = () => h.sh(`${v.ip} route get ${v.pod}`)
      if (v.family === 'IPv4') {
        // As upstream makes it: the connected route that comes later has no chance.
        await h.sh(`ip route add blackhole ${v.subnet}; ${connect}`)
        expect(await way().catch(String)).toMatch(/Invalid argument/)
        await h.sh(`ip route del blackhole ${v.subnet}; ip addr flush dev cni0 scope global`)
      }
      {
        await using reconciler = await settled(h, true)
        expect(await routes(h)).toEqual([v.ours])
        expect(await way().catch(String)).toMatch(/Invalid argument/)
        await h.sh(connect)
        expect(await way()).toContain('dev cni0')
        expect(reconciler.failures.size).toBe(0)
      }
      await h.sh(`${v.ip} route flush proto 104`)
      await using reconciler = await settled(h, true)
      expect(await routes(h)).toEqual([v.ours])
      expect(await way()).toContain('dev cni0')
      expect([...reconciler.failures]).toEqual([])
    })

    test('it is healed, adopted by a restart, and goes when it is wanted no more', async () => {
      await using h = await host()
      {
        await using reconciler = await settled(h, true)
        await h.sh(`${v.ip} route del ${v.ours.replace(' pref medium', '')}`)
        await reconciler.settled(soon())
        expect(await routes(h)).toEqual([v.ours])
        await h.sh('ip link set lo down; ip link set lo up')
        await reconciler.settled(soon())
        expect(await routes(h)).toEqual([v.ours])
        expect(reconciler.report().kinds.blackhole?.repairs).toBe(v.family === 'IPv4' ? 1 : 2)
      }
      {
        await using reconciler = await settled(h, true)
        expect(reconciler.report().kinds.blackhole).toMatchObject({ wanted: 1, puts: 0, removes: 0 })
        expect(await reconciler.drift()).toEqual([])
        reconciler.forget('own subnet')
        await reconciler.settled(soon())
        expect(await routes(h)).toEqual([])
        reconciler.want('own subnet', wish)
        await reconciler.settled(soon())
      }
      await using nothing = await settled(h, false)
      expect(await routes(h)).toEqual([])
      expect(nothing.failures.size).toBe(0)
    })

    test('upstream’s of the same subnet is replaced, those of others are left alone', async () => {
      await using h = await host()
      await h.sh(`
        ${v.ip} route add blackhole ${v.subnet}; ${v.ip} route add blackhole ${v.other}
        ${v.ip} route add blackhole ${v.subnet} metric 7 proto static
        ${v.ip} route add unreachable ${v.subnet} metric 8`)
      const sorted = async () => (await h.sh(`${v.ip} route`)).split('\n').sort().join('\n')
      const all = await sorted()
      await using reconciler = await settled(h, true)
      const [foreign, stays, taken] = [await h.sh(`${v.ip} route`), await routes(h), v.ours]
      expect(stays).toContain(taken)
      expect(stays).toHaveLength(3)
      expect(foreign).toContain(`unreachable ${v.subnet}`)
      expect(await reconciler.drift()).toMatchObject([{ kind: 'blackhole', key: v.other, what: 'stray' }])
      reconciler.forget('own subnet')
      await reconciler.settled(soon())
      const own = new RegExp(`^blackhole ${v.subnet}(?! proto static).*\n`, 'm')
      expect(await sorted()).toBe(all.replace(own, ''))
    })

    test('one that stands where ours is to be is told, and given way to as soon as it goes', async () => {
      await using h = await host()
      await h.sh(`${v.ip} route add unreachable ${v.subnet} ${WORST} proto static`)
      await using reconciler = await settled(h, true)
      const { reason } = reconciler.failures.get(`blackhole ${v.subnet}`) ?? { reason: '' }
      expect(reason).toContain(`not heddle's (unreachable, protocol 4)`)
      await h.sh(`${v.ip} route replace blackhole ${v.other} ${WORST} proto 104`)
      await h.sh(`${v.ip} route del unreachable ${v.subnet} ${WORST}`)
      await eventually('ours is there', async () => (await routes(h)).join() === v.ours || undefined)
      expect([...reconciler.failures]).toEqual([])
    })
  })
