// Links made, changed, moved and read back in a real kernel.
import { describe, expect, test } from 'bun:test'
import { kernel } from '../../test/support/kernel.ts'
import { ip, mac, thrown } from '../../test/support/values.ts'
import { isExists, isMissing } from './error.ts'
import { changeLink, createLink, getLink, listLinks, parseLink, removeLink, renameLink } from './link.ts'

describe('links', () => {
  test('a veth pair gets its peer in another namespace, with names, MACs, MTU and state', async () => {
    await using a = await kernel()
    await using b = await kernel()
    a.netlink().request(
      createLink({
        name: 'out',
        mac: mac('02:00:00:00:00:01'),
        mtuBytes: 1400,
        up: true,
        kind: {
          type: 'veth',
          peer: {
            name: 'in',
            mac: mac('02:00:00:00:00:02'),
            mtuBytes: 1300,
            namespace: { fd: b.namespace.fd },
          },
        },
      }),
    )
    expect(a.link('out')).toMatchObject({
      type: 'veth',
      mac: mac('02:00:00:00:00:01'),
      mtuBytes: 1400,
      up: true,
    })
    expect(b.link('in')).toMatchObject({
      type: 'veth',
      mac: mac('02:00:00:00:00:02'),
      mtuBytes: 1300,
      up: false,
    })
    expect(isMissing(thrown(() => a.link('in')))).toBe(true)
  })

  test('a VXLAN device has each attribute that was asked for', async () => {
    await using host = await kernel()
    await host.sh(
      'ip link add under type bridge && ip addr add 192.0.2.1/24 dev under && ip link set under up',
    )
    const under = host.index('under')
    host.netlink().request(
      createLink({
        name: 'flannel.7',
        mac: mac('0e:2a:00:00:00:07'),
        mtuBytes: 1450,
        txQueueLength: 0,
        up: true,
        kind: {
          type: 'vxlan',
          vni: 7,
          link: under,
          local: ip('192.0.2.1'),
          port: 8472,
          learning: false,
          gbp: true,
          ttl: 0,
          tos: 0,
          proxy: false,
          rsc: false,
          l2miss: false,
          l3miss: false,
          udpZeroCsum6Tx: false,
          udpZeroCsum6Rx: false,
        },
      }),
    )
    const link = host.link('flannel.7')
    expect(link).toMatchObject({ type: 'vxlan', mac: mac('0e:2a:00:00:00:07'), mtuBytes: 1450, up: true })
    expect(link.vxlan).toMatchObject({
      vni: 7,
      link: under,
      local: ip('192.0.2.1'),
      port: 8472,
      learning: false,
      gbp: true,
      l2miss: false,
    })
    const shown = await host.sh('ip -d link show flannel.7')
    expect(shown).toContain('vxlan id 7 local 192.0.2.1 dev under')
    expect(shown).toContain('nolearning')
    expect(shown).toContain('gbp')
  })

  test('a live VXLAN device over IPv6 takes a new local address, underlay link, learning and MAC', async () => {
    await using host = await kernel()
    await host.sh(
      'for n in 1 2; do ip link add u$n type bridge; ip addr add 2001:db8::$n/64 dev u$n nodad; ip link set u$n up; done',
    )
    const socket = host.netlink()
    socket.request(
      createLink({
        name: 'v6',
        kind: { type: 'vxlan', vni: 9, port: 8472, local: ip('2001:db8::1'), link: host.index('u1') },
      }),
    )
    socket.request(
      changeLink('v6', {
        mac: mac('02:00:00:00:00:09'),
        vxlan: { vni: 9, local: ip('2001:db8::2'), link: host.index('u2'), learning: false },
      }),
    )
    const link = host.link('v6')
    expect(link.mac).toBe(mac('02:00:00:00:00:09'))
    expect(link.vxlan).toMatchObject({ local: ip('2001:db8::2'), link: host.index('u2'), learning: false })
  })

  test('a bridge takes ports, and lets them go', async () => {
    await using host = await kernel()
    const socket = host.netlink()
    socket.request(createLink({ name: 'br0', up: true, kind: { type: 'bridge' } }))
    socket.request(createLink({ name: 'd0', kind: { type: 'veth', peer: { name: 'd1' } } }))
    socket.request(changeLink('d0', { master: host.index('br0'), up: true }))
    expect(host.link('d0').master).toBe(host.index('br0'))
    socket.request(changeLink(host.index('d0'), { master: 0 }))
    expect(host.link('d0').master).toBeUndefined()
  })

  test('a link is renamed, set down and moved to another namespace', async () => {
    await using a = await kernel()
    await using b = await kernel()
    const socket = a.netlink()
    socket.request(createLink({ name: 'd0', up: true, kind: { type: 'veth', peer: { name: 'e0' } } }))
    socket.request(changeLink('d0', { up: false }))
    socket.request(renameLink(a.index('d0'), 'd1'))
    expect(a.link('d1').up).toBe(false)
    socket.request(changeLink('d1', { namespace: { fd: b.namespace.fd } }))
    expect(b.link('d1').type).toBe('veth')
    expect(a.netlink().dump(listLinks(), (reply) => parseLink(reply.body).name)).toEqual(['lo', 'e0'])
  })

  test('a name that is taken and a link that is missing are told apart', async () => {
    await using host = await kernel()
    const socket = host.netlink()
    const make = createLink({ name: 'd0', kind: { type: 'bridge' } })
    socket.request(make)
    expect(isExists(thrown(() => socket.request(make)))).toBe(true)
    socket.request(removeLink('d0'))
    expect(isMissing(thrown(() => socket.request(removeLink('d0'))))).toBe(true)
    expect(isMissing(thrown(() => socket.request(getLink(4242))))).toBe(true)
  })
})
