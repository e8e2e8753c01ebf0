// Routes with an MTU of their own, of both families: put, changed and taken off in place, and healed.
import { describe, expect, test } from 'bun:test'
import { type DataplaneHost, dataplaneHost, device, soon } from '../../test/support/dataplane.ts'
import { ip, mac, prefix } from '../../test/support/values.ts'
import { address, fdbEntry, type KernelObject, neighbour, nexthop, route } from '../model/kernel.ts'
import type { Family } from '../model/ip.ts'
import type { Ownership } from './kind.ts'
import { METRIC } from './kinds/route.ts'

const SCOPE: Ownership = {
  links: new Set(['flannel.1', 'flannel-v6.1']),
  networks: [prefix('fd00:5::/32'), prefix('10.0.0.0/8')],
  tables: new Set(),
}
const PLACES = {
  ipv4: { name: 'flannel.1', local: '192.168.0.1', own: '10.1.0.0', base: '10.2.1.0', to: '10.2.1.0/24' },
  ipv6: {
    name: 'flannel-v6.1',
    local: 'fd00:1::1',
    own: 'fd00:5::',
    base: 'fd00:5:0:1::',
    to: 'fd00:5:0:1::/64',
  },
} as const
const VTEP = mac('02:06:00:00:00:01')

const ownOf = (family: Family): readonly KernelObject[] => {
  const { name, local, own } = PLACES[family]
  return [
    device({ name, mtuBytes: 1430, vxlan: { local: ip(local) } }),
    address({ link: name, ip: ip(own), length: family === 'ipv4' ? 32 : 128 }),
  ]
}
function peerOf(
  family: Family,
  through: 'nexthop' | 'plain',
  mtuBytes: number | undefined,
): readonly KernelObject[] {
  const { name: link, base, to } = PLACES[family]
  const [via, mtu] = [ip(base), mtuBytes === undefined ? {} : { mtuBytes }]
  return [
    neighbour({ link, ip: via, mac: VTEP }),
    fdbEntry({ link, mac: VTEP, dst: ip(family === 'ipv4' ? '192.168.1.1' : 'fd00:1::101') }),
    ...(through === 'nexthop' ? [nexthop({ link, via, onLink: true })] : []),
    route({ link, to: prefix(to), via, onLink: true, through, ...mtu }),
  ]
}

async function hostOf(family: Family): Promise<DataplaneHost> {
  const host = await dataplaneHost()
  if (family === 'ipv6')
    await host.sh(
      `sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
       ip addr add fd00:1::1/64 dev eth0 nodad`,
    )
  return host
}

for (const family of ['ipv4', 'ipv6'] as const)
  describe.each(['nexthop', 'plain'] as const)(`${family}, through %s:`, (through) => {
    const ip = family === 'ipv4' ? 'ip' : 'ip -6'
    const shown = (host: DataplaneHost) => host.sh(`${ip} route show ${PLACES[family].to}`)
    // Without the lock the kernel wouldn't heed it for what it forwards.
    const mtu = (bytes: number) => (family === 'ipv4' ? `mtu ${bytes}` : `mtu lock ${bytes}`)

    test('an MTU is set, changed and taken off in place; a restart changes nothing', async () => {
      await using host = await hostOf(family)
      await using reconciler = host.reconciler({ scope: SCOPE })
      reconciler.want('device', ownOf(family))
      reconciler.complete()
      for (const bytes of [undefined, 1350, 1280, undefined, 1300]) {
        reconciler.want('lease', peerOf(family, through, bytes))
        await reconciler.settled(soon())
        const lines = (await shown(host)).trim().split('\n')
        expect(lines).toHaveLength(1)
        if (bytes === undefined) expect(lines[0]).not.toContain('mtu')
        else expect(lines[0]).toContain(mtu(bytes))
        expect(await reconciler.drift()).toEqual([])
      }
      expect([...reconciler.failures]).toEqual([])
      await reconciler[Symbol.asyncDispose]()
      await using again = host.reconciler({ scope: SCOPE })
      again.want('device', ownOf(family))
      again.want('lease', peerOf(family, through, 1300))
      again.complete()
      await again.settled(soon())
      const { kinds } = again.report()
      expect(Object.values(kinds).reduce((sum, kind) => sum + kind.puts + kind.removes, 0)).toBe(0)
    })

    test.each([
      ['another MTU', 'mtu 1234'],
      ['a metric that nobody wants', 'mtu lock 1300 advmss 1000'],
      ['a lock the other way', family === 'ipv4' ? 'mtu lock 1300' : 'mtu 1300'],
      ['none', ''],
    ])('%s heals', async (_what, metrics) => {
      await using host = await hostOf(family)
      await using reconciler = host.reconciler({ scope: SCOPE })
      reconciler.want('device', ownOf(family))
      reconciler.want('lease', peerOf(family, through, 1300))
      reconciler.complete()
      await reconciler.settled(soon())
      const { to, base, name } = PLACES[family]
      const id = /nhid (\d+)/.exec(await shown(host))?.[1]
      const hop = through === 'nexthop' ? `nhid ${id}` : `via ${base} dev ${name} onlink`
      host.shAtOnce(
        `${ip} route del ${to}; ${ip} route add ${to} ${hop} proto 104 metric ${METRIC[family]} ${metrics}`,
      )
      await reconciler.settled(soon())
      expect(await shown(host)).toContain(mtu(1300))
      expect(await reconciler.drift()).toEqual([])
      expect(reconciler.report().repairs).toBe(1)
    })
  })
