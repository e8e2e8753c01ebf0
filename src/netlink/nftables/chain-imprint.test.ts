// The imprint of a chain that iptables-nft keeps: another after each change that matters to it, and only then.
import { describe, expect, test } from 'bun:test'
import { kernel } from '../../../test/support/kernel.ts'
import { NetlinkSocket } from '../socket.ts'
import { chainImprint } from './chain-imprint.ts'

for (const [family, tool, network] of [
  ['ipv4', 'iptables-nft', '10.9.0.0/16'],
  ['ipv6', 'ip6tables-nft', 'fd00:9::/32'],
] as const)
  describe(`the imprint of a chain of ${tool}`, () => {
    const SETUP = `${tool}-restore <<'END'
*nat
:OURS - [0:0]
:OTHER - [0:0]
:WALL - [0:0]
-A POSTROUTING -s ${network} -j OTHER
-A POSTROUTING -m comment --comment "to ours" -j OURS
-A POSTROUTING -m comment --comment "on the way" -j WALL
-A OURS -m mark --mark 0x4000/0x4000 -j RETURN
-A OURS -j MASQUERADE
COMMIT
END`
    const imprint = (socket: NetlinkSocket) =>
      chainImprint(socket, { family, name: 'nat' }, 'OURS', 'POSTROUTING')

    test('tells of the chain, of what leads to it and of what lies on the way', async () => {
      await using host = await kernel()
      using socket = NetlinkSocket.open('netfilter', host.namespace)
      expect(imprint(socket)).toBeUndefined()
      await host.sh(SETUP)
      const before = imprint(socket)
      expect(before).toBeDefined()
      const changes = [
        [`-A OURS -j RETURN`, `-D OURS -j RETURN`],
        [`-A POSTROUTING -j RETURN`, `-D POSTROUTING -j RETURN`],
        [`-A WALL -j ACCEPT`, `-D WALL -j ACCEPT`],
        [`-R POSTROUTING 1 -s ${network} -j WALL`, `-R POSTROUTING 1 -s ${network} -j OTHER`],
      ]
      for (const [there = '', back = ''] of changes) {
        await host.sh(`${tool} -t nat ${there}`)
        expect([there, imprint(socket)]).not.toEqual([there, before])
        await host.sh(`${tool} -t nat ${back}`)
        expect([back, imprint(socket)]).toEqual([back, before])
      }
      await host.sh('nft flush ruleset')
      expect(imprint(socket)).toBeUndefined()
    })

    test('tells neither of counters nor of what others have elsewhere', async () => {
      await using host = await kernel()
      using socket = NetlinkSocket.open('netfilter', host.namespace)
      await host.sh(SETUP)
      const before = imprint(socket)
      await host.sh(`${tool} -t nat -N AAA; ${tool} -t nat -A OTHER -j AAA; ${tool} -A FORWARD -j DROP
        ip addr add ${family === 'ipv4' ? '10.9.0.1/32' : 'fd00:9::1/128'} dev lo
        # Of IPv6 the address is good a moment later.
        until ping -c 1 -W 5 ${family === 'ipv4' ? '10.9.0.1' : 'fd00:9::1'}; do sleep 0.01; done`)
      expect(await host.sh(`${tool} -t nat -L POSTROUTING -v -n -x`)).toMatch(/^ +[1-9]/m)
      expect(imprint(socket)).toBe(before)
    })
  })
