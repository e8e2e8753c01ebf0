// Our requests against what real `ip` and `bridge` commands send (golden/capture.sh says how that was seen): same
// type, flags, fixed header and attributes; only the order of attributes is free.
import { describe, expect, test } from 'bun:test'
import { ip, mac, prefix } from '../../test/support/values.ts'
import { IFA_F, putAddress, removeAddress } from './address.ts'
import captures from './golden/captures.json' with { type: 'json' }
import { changeLink, createLink, getLink, removeLink, renameLink } from './link.ts'
import { listNeighbours, NUD, putFdb, putNeighbour, removeFdb, removeNeighbour } from './neighbour.ts'
import { listNexthops, putNexthop, removeNexthop } from './nexthop.ts'
import { splitMessages } from './reply.ts'
import { addRoute, putRoute, removeRoute } from './route.ts'
import { type Message, NLM_F } from './wire.ts'

const link = { vb: 2, va: 3, br0: 4, v4: 5, v6: 6 } as const
const peerMac = mac('02:00:00:00:00:02')
const hop4 = 0x68_000_001
const hop6 = 0x68_000_002
const proto = { protocol: 104 } as const
const fdbState = NUD.permanent | NUD.noArp

/** Ours for each command. `ip` asks for no particular state where `bridge` says NOARP too. */
const ours: Record<keyof typeof captures, Message> = {
  'ip link add br0 type bridge': createLink({ name: 'br0', kind: { type: 'bridge' } }),
  'ip link add flannel.1 mtu 1450 address 0e:2a:00:00:00:01 txqueuelen 0 type vxlan id 1 dev va local 192.0.2.1 ttl 0 tos 0 nolearning dstport 8472 gbp':
    createLink({
      name: 'flannel.1',
      mtuBytes: 1450,
      mac: mac('0e:2a:00:00:00:01'),
      txQueueLength: 0,
      kind: {
        type: 'vxlan',
        vni: 1,
        link: link.va,
        local: ip('192.0.2.1'),
        ttl: 0,
        tos: 0,
        learning: false,
        port: 8472,
        gbp: true,
      },
    }),
  'ip link add flannel-v6.1 mtu 1430 address 0e:2a:00:00:00:06 type vxlan id 1 dev va local 2001:db8::1 learning dstport 8472 noudp6zerocsumtx noudp6zerocsumrx':
    createLink({
      name: 'flannel-v6.1',
      mtuBytes: 1430,
      mac: mac('0e:2a:00:00:00:06'),
      kind: {
        type: 'vxlan',
        vni: 1,
        link: link.va,
        local: ip('2001:db8::1'),
        learning: true,
        port: 8472,
        udpZeroCsum6Tx: false,
        udpZeroCsum6Rx: false,
      },
    }),
  'ip link add ve mtu 1400 address 02:00:00:00:00:03 type veth peer name vf mtu 1300 address 02:00:00:00:00:04':
    createLink({
      name: 've',
      mtuBytes: 1400,
      mac: mac('02:00:00:00:00:03'),
      kind: { type: 'veth', peer: { name: 'vf', mtuBytes: 1300, mac: mac('02:00:00:00:00:04') } },
    }),
  'ip link set flannel.1 up': changeLink(link.v4, { up: true }),
  'ip link set flannel-v6.1 up': changeLink(link.v6, { up: true }),
  'ip link set vb mtu 1280': changeLink(link.vb, { mtuBytes: 1280 }),
  'ip link set vb address 02:00:00:00:00:09': changeLink(link.vb, { mac: mac('02:00:00:00:00:09') }),
  'ip link set vb master br0': changeLink(link.vb, { master: link.br0 }),
  'ip link set vb nomaster': changeLink(link.vb, { master: 0 }),
  'ip link set ve name vg': renameLink(8, 'vg'),
  'ip link del vg': removeLink(8),
  'ip -4 addr replace 10.5.1.0/32 dev flannel.1': putAddress({
    linkIndex: link.v4,
    ip: ip('10.5.1.0'),
    length: 32,
  }),
  'ip -6 addr replace fd00:5:0:1::/128 dev flannel-v6.1 nodad noprefixroute': putAddress({
    linkIndex: link.v6,
    ip: ip('fd00:5:0:1::'),
    length: 128,
    flags: IFA_F.noDad | IFA_F.noPrefixRoute,
  }),
  'ip addr del 10.5.1.0/32 dev flannel.1': removeAddress({
    linkIndex: link.v4,
    ip: ip('10.5.1.0'),
    length: 32,
  }),
  'ip neigh replace 10.5.2.0 lladdr 02:00:00:00:00:02 dev flannel.1 nud permanent': putNeighbour({
    linkIndex: link.v4,
    ip: ip('10.5.2.0'),
    mac: peerMac,
  }),
  'ip neigh replace fd00:5:0:2:: lladdr 02:00:00:00:00:02 dev flannel-v6.1 nud permanent': putNeighbour({
    linkIndex: link.v6,
    ip: ip('fd00:5:0:2::'),
    mac: peerMac,
  }),
  'ip neigh del 10.5.2.0 dev flannel.1': removeNeighbour({ linkIndex: link.v4, ip: ip('10.5.2.0') }),
  'bridge fdb replace 02:00:00:00:00:02 dev flannel.1 self dst 192.0.2.2': putFdb({
    linkIndex: link.v4,
    mac: peerMac,
    dst: ip('192.0.2.2'),
    state: fdbState,
  }),
  'bridge fdb replace 02:00:00:00:00:02 dev flannel-v6.1 self dst 2001:db8::2': putFdb({
    linkIndex: link.v6,
    mac: peerMac,
    dst: ip('2001:db8::2'),
    state: fdbState,
  }),
  'bridge fdb del 02:00:00:00:00:02 dev flannel.1 self dst 192.0.2.2': removeFdb({
    linkIndex: link.v4,
    mac: peerMac,
    dst: ip('192.0.2.2'),
    state: fdbState,
  }),
  'ip nexthop replace id 1744830465 via 10.5.2.0 dev flannel.1 onlink proto 104': putNexthop({
    id: hop4,
    via: ip('10.5.2.0'),
    linkIndex: link.v4,
    onLink: true,
    ...proto,
  }),
  'ip nexthop replace id 1744830466 via fd00:5:0:2:: dev flannel-v6.1 onlink proto 104': putNexthop({
    id: hop6,
    via: ip('fd00:5:0:2::'),
    linkIndex: link.v6,
    onLink: true,
    ...proto,
  }),
  'ip route replace 10.5.2.0/24 nhid 1744830465 proto 104': putRoute({
    to: prefix('10.5.2.0/24'),
    nexthopId: hop4,
    ...proto,
  }),
  'ip -6 route replace fd00:5:0:2::/64 nhid 1744830466 proto 104': putRoute({
    to: prefix('fd00:5:0:2::/64'),
    nexthopId: hop6,
    ...proto,
  }),
  'ip route replace 10.5.3.0/24 via 10.5.3.0 dev flannel.1 onlink proto 104': putRoute({
    to: prefix('10.5.3.0/24'),
    via: ip('10.5.3.0'),
    linkIndex: link.v4,
    onLink: true,
    ...proto,
  }),
  'ip -6 route replace fd00:5:0:3::/64 via fd00:5:0:3:: dev flannel-v6.1 onlink proto 104': putRoute({
    to: prefix('fd00:5:0:3::/64'),
    via: ip('fd00:5:0:3::'),
    linkIndex: link.v6,
    onLink: true,
    ...proto,
  }),
  'ip route replace 10.5.4.0/24 via 192.0.2.2 proto boot': putRoute({
    to: prefix('10.5.4.0/24'),
    via: ip('192.0.2.2'),
    protocol: 3,
  }),
  'ip route replace 10.5.5.0/24 dev va metric 7 table 1000 proto 104': putRoute({
    to: prefix('10.5.5.0/24'),
    linkIndex: link.va,
    metric: 7,
    table: 1000,
    ...proto,
  }),
  'ip route add blackhole 10.5.0.0/16 metric 4096 proto 104': addRoute({
    to: prefix('10.5.0.0/16'),
    type: 'blackhole',
    metric: 4096,
    ...proto,
  }),
  'ip -6 route add blackhole fd00:5::/32 metric 4096 proto 104': addRoute({
    to: prefix('fd00:5::/32'),
    type: 'blackhole',
    metric: 4096,
    ...proto,
  }),
  'ip route replace default via 192.0.2.2 dev va proto static': putRoute({
    to: prefix('0.0.0.0/0'),
    via: ip('192.0.2.2'),
    linkIndex: link.va,
    protocol: 4,
  }),
  'ip route replace 10.5.6.0/24 via inet6 fe80::1 dev va proto 104': putRoute({
    to: prefix('10.5.6.0/24'),
    via: ip('fe80::1'),
    linkIndex: link.va,
    ...proto,
  }),
  'ip route del 10.5.3.0/24 via 10.5.3.0 dev flannel.1 proto 104': removeRoute({
    to: prefix('10.5.3.0/24'),
    via: ip('10.5.3.0'),
    linkIndex: link.v4,
    ...proto,
  }),
  'ip nexthop del id 1744830465': removeNexthop(hop4),
  'ip link show dev flannel.1': getLink('flannel.1'),
  'ip nexthop show dev flannel.1': listNexthops({ linkIndex: link.v4 }),
  'ip neigh show dev flannel.1': listNeighbours({ family: 'ipv4', linkIndex: link.v4 }),
}

/** Where a command's message says more than ours must, or ours says what `ip` leaves to itself; and why. */
const differs: Record<string, { theirs: readonly string[]; header?: string }> = {
  // `ip` asks for virtual functions too, and under AF_PACKET, which rtnetlink takes for any.
  'ip link show dev flannel.1': { theirs: ['29=01000000'], header: ''.padEnd(32, '0') },
  // `ip` reads both families at once.
  'ip neigh show dev flannel.1': { theirs: [], header: '02'.padEnd(24, '0') },
}

const headerBytes: Record<number, number> = {
  16: 16,
  17: 16,
  18: 16,
  20: 8,
  21: 8,
  24: 12,
  25: 12,
  28: 12,
  29: 12,
  30: 12,
  104: 8,
  105: 8,
  106: 8,
}
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Each attribute as `path=hex`, sorted. IFLA_LINKINFO, its data, and a veth's peer after its header are nests. */
function flatten(bytes: Uint8Array, type: number, path = ''): string[] {
  const out: string[] = []
  const view = Buffer.from(bytes)
  for (let at = 0; at < bytes.length;) {
    const [length, attribute] = [view.readUInt16LE(at), view.readUInt16LE(at + 2) & 0x3fff]
    const value = bytes.subarray(at + 4, at + length)
    const name = `${path}${attribute}`
    const nests = [16].includes(type) && ['18', '18.2', '18.2.1'].includes(name)
    const peer = name === '18.2.1' && value.length > 16
    if (nests && peer)
      out.push(`${name}=${hex(value.subarray(0, 16))}`, ...flatten(value.subarray(16), type, `${name}.`))
    else if (nests && name !== '18.2.1') out.push(...flatten(value, type, `${name}.`))
    else out.push(`${name}=${hex(value)}`)
    at += (length + 3) & ~3
  }
  return out.toSorted()
}

describe('our requests are those of ip and bridge', () => {
  for (const [command, captured] of Object.entries(captures))
    test(command, () => {
      const bytes = Buffer.from(captured, 'hex')
      const [theirs] = splitMessages(bytes.subarray(0, bytes.readUInt32LE(0)))
      const mine = ours[command as keyof typeof captures]
      if (theirs === undefined) return expect.unreachable()
      const header = headerBytes[theirs.type] ?? expect.unreachable(`type ${theirs.type}`)
      const except = differs[command]
      expect(mine.type).toBe(theirs.type)
      expect(mine.flags | NLM_F.request).toBe(
        theirs.flags & ~NLM_F.ack & ~(mine.type % 4 === 2 ? NLM_F.dump : 0),
      )
      expect(hex(mine.body.subarray(0, header))).toBe(except?.header ?? hex(theirs.body.subarray(0, header)))
      expect(
        [...flatten(mine.body.subarray(header), mine.type), ...(except?.theirs ?? [])].toSorted(),
      ).toEqual(flatten(theirs.body.subarray(header), theirs.type))
    })
})
