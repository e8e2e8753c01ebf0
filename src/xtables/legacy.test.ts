// Legacy tables read by getsockopt, against what the real iptables-legacy made of them.
import { describe, expect, test } from 'bun:test'
import type { TestHost } from '../../test/support/kernel.ts'
import { tablesHost } from '../../test/support/xtables.ts'
import { LegacyTables, legacyImprint } from './legacy.ts'

const SETUP = `*nat
:OURS - [0:0]
:OTHER - [0:0]
:WALL - [0:0]
-A POSTROUTING -s 10.9.0.0/16 -j OTHER
-A POSTROUTING -m comment --comment "to ours" -j OURS
-A POSTROUTING -m comment --comment "on the way" -j WALL
-A OURS -m mark --mark 0x4000/0x4000 -j RETURN
-A OURS -j MASQUERADE
COMMIT
`

for (const [family, tool] of [
  ['ipv4', 'iptables-legacy'],
  ['ipv6', 'ip6tables-legacy'],
] as const)
  describe(`legacy tables of ${family}`, () => {
    const network = family === 'ipv4' ? '10.9.0.0/16' : 'fd00:9::/32'
    const restore = async (host: TestHost) =>
      host.sh(`${tool}-restore <<'END'\n${SETUP.replace('10.9.0.0/16', network)}END`)
    const imprint = (tables: LegacyTables) => legacyImprint(tables.read(family, 'nat'), 'OURS', 'POSTROUTING')

    test('are not made by looking for them', async () => {
      await using host = await tablesHost()
      using tables = new LegacyTables(host.namespace)
      expect(tables.read(family, 'nat')).toBeUndefined()
      expect(tables.names(family)).toEqual(new Set())
      await restore(host)
      expect(tables.names(family)).toEqual(new Set(['nat']))
      expect(tables.read(family, 'filter')).toBeUndefined()
      expect(tables.read(family, 'nat')?.chains().toSorted()).toEqual(
        ['INPUT', 'OTHER', 'OUTPUT', 'OURS', 'POSTROUTING', 'PREROUTING', 'WALL'].toSorted(),
      )
    })

    test('show whether a chain, what leads to it and what lies on the way is as it was', async () => {
      await using host = await tablesHost()
      await restore(host)
      using tables = new LegacyTables(host.namespace)
      const before = imprint(tables)
      expect(before).toBeDefined()
      const changes = [
        [`-A OURS -j RETURN`, `-D OURS -j RETURN`],
        [`-A POSTROUTING -j RETURN`, `-D POSTROUTING -j RETURN`],
        [`-A WALL -j ACCEPT`, `-D WALL -j ACCEPT`],
        [`-I OURS -m comment --comment x -j RETURN`, `-D OURS 1`],
        [`-R POSTROUTING 1 -s ${network} -j WALL`, `-R POSTROUTING 1 -s ${network} -j OTHER`],
        [
          `-R POSTROUTING 2 -m comment --comment "to ours" -g OURS`,
          `-R POSTROUTING 2 -m comment --comment "to ours" -j OURS`,
        ],
      ]
      for (const [there = '', back = ''] of changes) {
        await host.sh(`${tool} -t nat ${there}`)
        expect([there, imprint(tables)]).not.toEqual([there, before])
        await host.sh(`${tool} -t nat ${back}`)
        expect([back, imprint(tables)]).toEqual([back, before])
      }
      await host.sh(`${tool} -t nat -F; ${tool} -t nat -X`)
      expect(imprint(tables)).toBeUndefined()
    })

    test('show nothing else: neither counters nor what others have elsewhere', async () => {
      await using host = await tablesHost()
      await restore(host)
      using tables = new LegacyTables(host.namespace)
      const before = imprint(tables)
      // Their chains come first by name, so that all offsets move.
      const more = Array.from({ length: 500 }, (_, i) => `-A AAA -p tcp --dport ${i + 1} -j RETURN`)
      await host.sh(
        `${tool}-restore -n <<'END'\n*nat\n:AAA - [0:0]\n${more.join('\n')}\n-A OTHER -j AAA\nCOMMIT\nEND`,
      )
      expect(imprint(tables)).toBe(before)
      await host.sh(`ip addr add ${family === 'ipv4' ? '10.9.0.1/32' : 'fd00:9::1/128'} dev lo
        # Of IPv6 the address is good a moment later.
        until ping -c 1 -W 5 ${family === 'ipv4' ? '10.9.0.1' : 'fd00:9::1'}; do sleep 0.01; done
        ${tool} -t nat -Z WALL`)
      // Of IPv6 the kernel sends some on its own account besides.
      expect(await host.sh(`${tool} -t nat -L POSTROUTING -v -n -x`)).toMatch(/^ +[1-9]/m)
      expect(imprint(tables)).toBe(before)
    })
  })
