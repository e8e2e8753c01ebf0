// Which leases make no peer, and why; upstream programs whatever is there. Each family by itself.
import { describe, expect, test } from 'bun:test'
import {
  a,
  AT_ONCE,
  b,
  dual,
  gone,
  key,
  lease,
  own,
  put,
  snapshot,
  table,
  told,
  uniqueOf,
} from '../../test/support/leases.ts'
import { LeaseTable } from './lease-table.ts'

const MAC = '02:42:00:00:00:07'
const OTHER_MAC = '02:42:00:00:00:08'

describe('weak point 65: a lease is refused', () => {
  test.each([
    ['10.4.2.0-24', '192.168.0.2', '10.4.2.0/24 lies outside the network 10.3.0.0/16'],
    ['10.0.0.0-8', '192.168.0.2', '10.0.0.0/8 lies outside the network 10.3.0.0/16'],
    ['10.3.1.128-25', '192.168.0.2', "10.3.1.128/25 overlaps this host's own subnet 10.3.1.0/24"],
    ['10.3.0.0-16', '192.168.0.2', "overlaps this host's own subnet"],
    ['10.3.2.0-24', '192.168.0.1', "PublicIP 192.168.0.1 is this host's own"],
    ['10.3.2.0-24', '10.3.2.9', 'its PublicIP 10.3.2.9 lies in its own subnet 10.3.2.0/24'],
    ['10.3.2.0-24', '10.3.1.9', "its PublicIP 10.3.1.9 lies in this host's own subnet 10.3.1.0/24"],
  ])('%s of %s: %s', (name, publicIp, reason) => {
    const t = table()
    expect(t.apply(put(lease(name, publicIp)), 0)).toEqual([])
    expect(t.refused.get(name)).toContain(reason)
    expect(t.apply(gone(name), 0)).toEqual([])
    expect(t.refused.size).toBe(0)
  })

  test('when it overlaps another: the earlier stays, and the later comes when that goes', () => {
    const t = table(a)
    const wide = lease('10.3.2.0-23', '192.168.0.8', 9)
    expect(t.apply(put(wide), 0)).toEqual([])
    expect(t.refused.get('10.3.2.0-23')).toBe('10.3.2.0/23 overlaps the older lease 10.3.2.0-24')
    expect(told(t.apply(gone('10.3.2.0-24'), 0))).toEqual(['+10.3.2.0-23', '-10.3.2.0-24'])
    expect(t.refused.size).toBe(0)
    expect(told(t.apply(put(lease('10.3.3.0-24', '192.168.0.3', 4)), 0))).toEqual([
      '+10.3.3.0-24',
      '-10.3.2.0-23',
    ])
  })

  test('when it overlaps another that is the earlier one now, for it was made anew: as it was, but later', () => {
    const wide = lease('10.3.2.0-23', '192.168.0.9', 7)
    const [before, anew] = [lease('10.3.2.0-24', '192.168.0.2', 5), lease('10.3.2.0-24', '192.168.0.2', 9)]
    for (const event of [put(anew), snapshot('a', wide, anew)]) {
      const t = table(before, wide)
      expect([...t.peers.keys()]).toEqual([before.key])
      expect(told(t.apply(event, 0))).toEqual(['+10.3.2.0-23', '-10.3.2.0-24'])
    }
  })

  test('one that is refused itself is in nobody’s way', () => {
    const t = table(lease('10.0.0.0-8', '192.168.0.7', 1))
    expect(told(t.apply(put(a), 0))).toEqual(['+10.3.2.0-24'])
    const inTheWay = lease('10.3.2.0-23', '192.168.0.9', 7, { mac: MAC })
    t.apply(put(inTheWay), 0)
    expect(told(t.apply(put(lease('10.3.7.0-24', '192.168.0.7', 8, { mac: MAC })), 0))).toEqual([
      '+10.3.7.0-24',
    ])
  })

  test('when another host has its VTEP MAC, a copied machine: the later waits until one of them gets another', () => {
    const first = lease('10.3.2.0-24', '192.168.0.2', 2, { mac: MAC })
    const copy = lease('10.3.3.0-24', '192.168.0.3', 3, { mac: MAC })
    const t = table(copy, first)
    expect([...t.peers.keys()]).toEqual([first.key])
    expect(t.refused.get(copy.key)).toStartWith(
      'its VtepMAC 02:42:00:00:00:07 is that of the older lease 10.3.2.0-24, another host (192.168.0.2)',
    )
    const mended = lease('10.3.3.0-24', '192.168.0.3', 3, { mac: OTHER_MAC })
    expect(told(t.apply(put(mended), 0))).toEqual(['+10.3.3.0-24'])
    expect(t.refused.size).toBe(0)
    expect(t.apply(put(copy), 0)).toEqual([{ kind: 'gone', key: copy.key }])
    expect(told(t.apply(gone(first.key), 0))).toEqual(['+10.3.3.0-24', '-10.3.2.0-24'])
    // Created earlier than the one that is there: it stays, though it came back later.
    expect(told(t.apply(put(first), 0))).toEqual(['+10.3.2.0-24', '-10.3.3.0-24'])
  })

  test('when its PublicIP lies in the subnet of an older one, and the other way round', () => {
    const t = table(a)
    const inside = lease('10.3.5.0-24', '10.3.2.77', 9)
    expect(t.apply(put(inside), 0)).toEqual([])
    expect(t.refused.get(inside.key)).toBe(
      'its PublicIP 10.3.2.77 lies in the subnet of the older lease 10.3.2.0-24',
    )
    const t2 = table(inside)
    const around = lease('10.3.2.0-24', '192.168.0.2', 10)
    expect(t2.apply(put(around), 0)).toEqual([])
    expect(t2.refused.get(around.key)).toBe(
      '10.3.2.0/24 has 10.3.2.77 in it, the PublicIP of the older lease 10.3.5.0-24',
    )
  })

  test('not for a PublicIP in the network that is in nobody’s subnet', () => {
    expect([...table(lease('10.3.5.0-24', '10.3.200.1', 9)).peers.keys()]).toEqual([key('10.3.5.0-24')])
  })

  // The living one may be the older or the younger: a host that was given the address of a dead one.
  test('not for sharing a PublicIP with another peer, but that is told', () => {
    const t = table(a, lease('10.3.5.0-24', '192.168.0.2', 5, { mac: MAC }), b)
    expect(t.peers.size).toBe(3)
    expect([...t.doubtful]).toEqual([
      [a.key, 'PublicIP 192.168.0.2 is that of 10.3.5.0-24 too'],
      [key('10.3.5.0-24'), 'PublicIP 192.168.0.2 is that of 10.3.2.0-24 too'],
    ])
    t.apply(put(lease('10.3.6.0-24', '192.168.0.2', 6)), 0)
    expect(t.doubtful.get(a.key)).toBe('PublicIP 192.168.0.2 is that of 10.3.5.0-24 too and of 1 more')
  })

  test('not for a VTEP MAC that it shares with a lease of the same address: that is one host', () => {
    const t = table(
      lease('10.3.2.0-24', '192.168.0.2', 2, { mac: MAC }),
      lease('10.3.3.0-24', '192.168.0.2', 3, { mac: MAC }),
    )
    expect(t.peers.size).toBe(2)
    expect(t.doubtful.size).toBe(2)
    // A third host with that MAC loses to either of them.
    t.apply(put(lease('10.3.4.0-24', '192.168.0.4', 4, { mac: MAC })), 0)
    expect(t.refused.get('10.3.4.0-24')).toContain('the older lease 10.3.2.0-24')
    t.apply(gone('10.3.2.0-24'), 0)
    expect(t.refused.get('10.3.4.0-24')).toContain('the older lease 10.3.3.0-24')
  })
})

describe('each family by itself:', () => {
  const V6 = '2001:db8::2'
  const both = (name: string, more: { mac?: string; mac6?: string; ipv6?: string }, revision = 2) =>
    lease(name, `192.168.0.${revision}`, revision, { ipv6: V6, ...more })
  const dualTable = () => new LeaseTable(dual, own, AT_ONCE, uniqueOf)

  test('weak point 32: a half outside its network leaves the other alone', () => {
    const t = dualTable()
    const half = both('10.3.2.0-24&fd00:4::-64', {})
    expect(t.apply(put(half), 0)).toEqual([{ kind: 'put', lease: { ...half, ipv6: undefined } }])
    expect(t.refused.get(half.key)).toBe('fd00:4::/64 lies outside the network fd00:3::/48')
    const good = both('10.3.4.0-24&fd00:3:0:4::-64', { ipv6: '2001:db8::3' }, 3)
    expect(t.apply(put(good), 0)).toEqual([{ kind: 'put', lease: good }])
  })

  test('so does a VTEP MAC of another host, and a subnet of another', () => {
    const t = dualTable()
    t.apply(put(both('10.3.2.0-24&fd00:3:0:2::-64', { mac: MAC, mac6: OTHER_MAC })), 0)
    const copy = both('10.3.3.0-24&fd00:3:0:3::-64', { mac: MAC, mac6: MAC, ipv6: '2001:db8::3' }, 3)
    expect(t.apply(put(copy), 0)).toEqual([{ kind: 'put', lease: { ...copy, ipv4: undefined } }])
    const overlapping = both('10.3.4.0-24&fd00:3:0:2::-64', { ipv6: '2001:db8::4' }, 4)
    expect(t.apply(put(overlapping), 0)).toEqual([
      { kind: 'put', lease: { ...overlapping, ipv6: undefined } },
    ])
    expect([...t.refused.keys()]).toEqual([copy.key, overlapping.key])
    // What the other half was refused for is over: both are used now.
    expect(told(t.apply(gone('10.3.2.0-24&fd00:3:0:2::-64'), 0))).toEqual([
      `+${copy.key}`,
      `+${overlapping.key}`,
      '-10.3.2.0-24&fd00:3:0:2::-64',
    ])
    expect(t.refused.size).toBe(0)
  })

  test('so does a public address that is ours', () => {
    const ours = lease('10.3.1.0-24&fd00:3:0:1::-64', '192.168.0.1', 1, { ipv6: '2001:db8::1' })
    const t = new LeaseTable(dual, ours, AT_ONCE, uniqueOf)
    const its = both('10.3.2.0-24&fd00:3:0:2::-64', { ipv6: '2001:db8::1' })
    expect(t.apply(put(its), 0)).toEqual([{ kind: 'put', lease: { ...its, ipv6: undefined } }])
    expect(t.refused.get(its.key)).toBe("PublicIP 2001:db8::1 is this host's own")
  })

  test('weak point 7: a change of either half is told, whichever it is', () => {
    const t = dualTable()
    const name = '10.3.2.0-24&fd00:3:0:2::-64'
    t.apply(put(both(name, { mac: MAC, mac6: MAC })), 0)
    for (const changed of [
      both(name, { mac: OTHER_MAC, mac6: MAC }),
      both(name, { mac: OTHER_MAC, mac6: OTHER_MAC }),
      both(name, { mac: OTHER_MAC, mac6: OTHER_MAC, ipv6: '2001:db8::9' }),
    ])
      expect(t.apply(put(changed), 0)).toEqual([{ kind: 'put', lease: changed }])
  })

  test('weak point 20: a family that the network hasn’t got is just not used', () => {
    const t = table()
    const half = both('10.3.2.0-24&fd00:4::-64', {})
    expect(t.apply(put(half), 0)).toEqual([{ kind: 'put', lease: { ...half, ipv6: undefined } }])
    expect(t.refused.size).toBe(0)
    const v6 = new LeaseTable({ ...dual, ipv4: undefined }, own, AT_ONCE, uniqueOf)
    expect(v6.apply(put(a), 0)).toEqual([])
    expect(v6.refused.get(a.key)).toContain('no subnet of a family')
  })
})

describe('what this host’s links are connected to', () => {
  test('is no peer’s, from when it is told until it is told otherwise', () => {
    const t = table(a, b)
    const bridge = {
      prefix: a.ipv4?.subnet ?? expect.unreachable(),
      ip: '10.3.2.1' as never,
      link: 'docker0',
    }
    expect(t.surround({ connected: [bridge], gateways: [] })).toEqual([{ kind: 'gone', key: a.key }])
    expect(t.refused.get(a.key)).toContain('10.3.2.0/24 of docker0 on this host is the same')
    // It is in nobody's way then.
    expect(told(t.apply(put(lease('10.3.2.0-25', '192.168.0.9', 9)), 0))).toEqual([])
    expect(told(t.surround({ connected: [], gateways: [] }))).toEqual(['+10.3.2.0-24'])
    expect(t.surround({ connected: [], gateways: [] })).toEqual([])
    expect(t.refused.get('10.3.2.0-25')).toContain('older lease')
  })
})
