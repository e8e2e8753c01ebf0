// Addresses, routes, nexthops, neighbours and FDB entries: written, read back, replaced and removed in a real kernel,
// in both families; and shown by `ip` as what they were meant to be.
import { describe, expect, test } from 'bun:test'
import { kernel, type TestHost } from '../../test/support/kernel.ts'
import { ip, mac, prefix, thrown } from '../../test/support/values.ts'
import type { Ip } from '../model/ip.ts'
import type { Prefix } from '../model/prefix.ts'
import { IFA_F, listAddresses, parseAddress, putAddress, removeAddress, SCOPE } from './address.ts'
import { isMissing, isRefused } from './error.ts'
import { createLink } from './link.ts'
import {
  listFdb,
  listNeighbours,
  NTF,
  NUD,
  parseNeighbour,
  putFdb,
  putNeighbour,
  removeFdb,
  removeNeighbour,
} from './neighbour.ts'
import { listNexthops, parseNexthop, putNexthop, removeNexthop } from './nexthop.ts'
import { dumpRoutes, parseRoute } from './route-info.ts'
import { addRoute, getRoute, PROTOCOL, putRoute, removeRoute, TABLE } from './route.ts'

/** A namespace with a VXLAN device that is up: it takes neighbours, FDB entries and on-link routes. */
async function host(): Promise<TestHost & { readonly vxlan: number }> {
  const fresh = await kernel()
  fresh.netlink().request(
    createLink({
      name: 'flannel.1',
      up: true,
      kind: { type: 'vxlan', vni: 1, port: 8472, learning: false },
    }),
  )
  return Object.assign(fresh, { vxlan: fresh.index('flannel.1') })
}

interface Values {
  family: 'ipv4' | 'ipv6'
  self: Ip
  selfLength: number
  peer: Ip
  subnet: Prefix
  dst: Ip
  other: Ip
}
const families: readonly Values[] = [
  {
    family: 'ipv4',
    self: ip('10.5.1.0'),
    selfLength: 32,
    peer: ip('10.5.2.0'),
    subnet: prefix('10.5.2.0/24'),
    dst: ip('192.0.2.2'),
    other: ip('192.0.2.3'),
  },
  {
    family: 'ipv6',
    self: ip('fd00:5:0:1::'),
    selfLength: 128,
    peer: ip('fd00:5:0:2::'),
    subnet: prefix('fd00:5:0:2::/64'),
    dst: ip('2001:db8::2'),
    other: ip('2001:db8::3'),
  },
]

for (const v of families)
  describe(v.family, () => {
    test('an address is put twice, listed, and removed once', async () => {
      await using h = await host()
      const socket = h.netlink()
      const address = {
        linkIndex: h.vxlan,
        ip: v.self,
        length: v.selfLength,
        flags: v.family === 'ipv6' ? IFA_F.noDad | IFA_F.noPrefixRoute : 0,
      }
      const listed = () =>
        socket
          .dump(listAddresses({ family: v.family, linkIndex: h.vxlan }), (reply) => parseAddress(reply.body))
          .filter((a) => a.scope === SCOPE.universe)
      socket.request(putAddress(address))
      socket.request(putAddress(address))
      expect(listed()).toEqual([
        { ...address, flags: address.flags | IFA_F.permanent, scope: SCOPE.universe },
      ])
      socket.request(removeAddress(address))
      expect(listed()).toEqual([])
      expect(isMissing(thrown(() => socket.request(removeAddress(address))))).toBe(true)
    })

    test('a neighbour is put, gets another MAC, and is removed', async () => {
      await using h = await host()
      const socket = h.netlink()
      const listed = () =>
        socket
          .dump(listNeighbours({ family: v.family, linkIndex: h.vxlan }), (reply) =>
            parseNeighbour(reply.body),
          )
          .filter((n) => n.state === NUD.permanent)
      const entry = { linkIndex: h.vxlan, ip: v.peer }
      for (const lladdr of [mac('02:00:00:00:00:01'), mac('02:00:00:00:00:fe')]) {
        socket.request(putNeighbour({ ...entry, mac: lladdr }))
        expect(listed()).toEqual([
          { kind: 'neighbour', ...entry, mac: lladdr, state: NUD.permanent, flags: 0 },
        ])
      }
      expect(await h.sh(`ip neigh show ${v.peer} dev flannel.1`)).toContain(
        'lladdr 02:00:00:00:00:fe PERMANENT',
      )
      socket.request(removeNeighbour(entry))
      expect(listed()).toEqual([])
      expect(isMissing(thrown(() => socket.request(removeNeighbour(entry))))).toBe(true)
    })

    test('an FDB entry is put, leads elsewhere, and is removed', async () => {
      await using h = await host()
      // A VXLAN device holds remotes of one family: that of its local address.
      h.netlink().request(
        createLink({
          name: 'own',
          up: true,
          kind: {
            type: 'vxlan',
            vni: 2,
            port: 8473,
            local: v.family === 'ipv4' ? ip('0.0.0.0') : ip('2001:db8::1'),
          },
        }),
      )
      const linkIndex = h.index('own')
      const socket = h.netlink()
      const listed = () => socket.dump(listFdb({ linkIndex }), (reply) => parseNeighbour(reply.body))
      const entry = { linkIndex, mac: mac('02:00:00:00:00:01') }
      const odd = { master: undefined, port: undefined, vni: undefined, through: undefined }
      for (const dst of [v.dst, v.other]) {
        socket.request(putFdb({ ...entry, dst }))
        expect(listed()).toEqual([
          { kind: 'fdb', ...entry, dst, state: NUD.permanent, flags: NTF.self, ...odd },
        ])
      }
      expect(await h.sh('bridge fdb show dev own')).toContain(
        `02:00:00:00:00:01 dst ${v.other} self permanent`,
      )
      socket.request(removeFdb({ ...entry, dst: v.other }))
      expect(listed()).toEqual([])
      expect(isMissing(thrown(() => socket.request(removeFdb({ ...entry, dst: undefined }))))).toBe(true)
    })

    test('a nexthop carries a route, moves in place, and takes its routes along', async () => {
      await using h = await host()
      const socket = h.netlink()
      const hop = { id: 0x68_000_001, linkIndex: h.vxlan, onLink: true, protocol: 0x68 }
      const hops = () =>
        socket.dump(listNexthops({ linkIndex: h.vxlan }), (reply) => parseNexthop(reply.body))
      for (const via of [v.other, v.peer]) {
        socket.request(putNexthop({ ...hop, via }))
        expect(hops()).toMatchObject([{ ...hop, via, family: v.family, type: 'plain' }])
      }
      socket.request(putRoute({ to: v.subnet, nexthopId: hop.id, protocol: 0x68 }))
      expect(dumpRoutes(socket, { family: v.family, protocol: 0x68 })).toMatchObject([
        { to: v.subnet, nexthopId: hop.id, via: v.peer, linkIndex: h.vxlan, table: TABLE.main, onLink: true },
      ])
      socket.request(removeNexthop(hop.id))
      expect(hops()).toEqual([])
      expect(dumpRoutes(socket, { family: v.family, protocol: 0x68 })).toEqual([])
      expect(isMissing(thrown(() => socket.request(removeNexthop(hop.id))))).toBe(true)
    })

    test('an on-link route is put, replaced by another gateway, found, and removed', async () => {
      await using h = await host()
      const socket = h.netlink()
      const route = { to: v.subnet, linkIndex: h.vxlan, onLink: true, protocol: 0x68 }
      const ours = () => dumpRoutes(socket, { family: v.family, table: TABLE.main, protocol: 0x68 })
      for (const via of [v.other, v.peer]) {
        socket.request(putRoute({ ...route, via }))
        expect(ours()).toMatchObject([{ ...route, via, type: 'unicast', multipath: false, cloned: false }])
      }
      expect(await h.sh(`ip -${v.family === 'ipv4' ? 4 : 6} route show ${v.subnet}`)).toContain(
        `${v.subnet} via ${v.peer} dev flannel.1 proto 104`,
      )
      const [found] = socket.request(getRoute(v.peer, { linkIndex: h.vxlan }))
      expect(found && parseRoute(found.body)).toMatchObject({ via: v.peer, linkIndex: h.vxlan })
      socket.request(removeRoute({ ...route, via: v.peer }))
      expect(ours()).toEqual([])
      expect(isMissing(thrown(() => socket.request(removeRoute({ to: v.subnet }))))).toBe(true)
    })

    test('blackholes, metrics and other tables are kept apart', async () => {
      await using h = await host()
      const socket = h.netlink()
      const hole = { to: v.subnet, type: 'blackhole', metric: 4096, protocol: 0x68 } as const
      socket.request(addRoute(hole))
      expect(thrown(() => socket.request(addRoute(hole)))).toMatchObject({ errnoName: 'EEXIST' })
      socket.request(putRoute({ to: v.subnet, linkIndex: h.vxlan, metric: 7, protocol: 0x68, table: 1000 }))
      const seen = dumpRoutes(socket, { family: v.family, protocol: 0x68 })
      expect(new Set(seen.map((r) => `${r.table} ${r.type} ${r.metric}`))).toEqual(
        new Set(['1000 unicast 7', `${TABLE.main} blackhole 4096`]),
      )
      expect(dumpRoutes(socket, { family: v.family, table: 1000 })).toHaveLength(1)
      socket.request(removeRoute(hole))
      socket.request(removeRoute({ to: v.subnet, table: 1000 }))
      expect(dumpRoutes(socket, { family: v.family, protocol: 0x68 })).toEqual([])
    })

    test('the route to nowhere and a table that nobody made say so', async () => {
      await using h = await host()
      const socket = h.netlink()
      expect(
        isRefused(
          thrown(() => socket.request(getRoute(v.dst))),
          'ENETUNREACH',
        ),
      ).toBe(true)
      expect(dumpRoutes(socket, { family: v.family, table: 4242 })).toEqual([])
    })

    test('the default route reads back as /0', async () => {
      await using h = await host()
      const socket = h.netlink()
      const to = prefix(v.family === 'ipv4' ? '0.0.0.0/0' : '::/0')
      socket.request(
        putRoute({ to, via: v.peer, linkIndex: h.vxlan, onLink: true, protocol: PROTOCOL.static }),
      )
      expect(dumpRoutes(socket, { family: v.family, protocol: PROTOCOL.static })).toMatchObject([
        { to, via: v.peer },
      ])
    })
  })

test('an IPv4 route may have an IPv6 gateway', async () => {
  await using h = await host()
  const socket = h.netlink()
  socket.request(
    putRoute({
      to: prefix('10.9.0.0/24'),
      via: ip('fe80::1'),
      linkIndex: h.vxlan,
      onLink: true,
      protocol: 0x68,
    }),
  )
  expect(dumpRoutes(socket, { family: 'ipv4', protocol: 0x68 })).toMatchObject([{ via: ip('fe80::1') }])
})
