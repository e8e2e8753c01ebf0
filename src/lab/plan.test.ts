// The plan of a lab: names, addresses, and what is refused with which sentence.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { containsIp, overlaps } from '../model/prefix.ts'
import { LabError } from './error.ts'
import { DEFAULTS, differences, namespacesOf, parsePeer, planOf, podsOf, type LabParameters } from './plan.ts'

const plan = (changes: Partial<LabParameters> = {}) => planOf({ ...DEFAULTS, ...changes })
const refusal = (changes: Partial<LabParameters>): string => {
  try {
    plan(changes)
  } catch (error) {
    if (error instanceof LabError && error.code === 'usage') return error.message
    throw error
  }
  return 'accepted'
}

describe('the plan of a lab', () => {
  test('names hosts, pods and every namespace', () => {
    const two = plan({ hosts: 2, pods: 1 })
    expect(two.hosts.map((host) => [host.name, ...host.addresses].join(' '))).toEqual([
      'h1 192.168.100.1 fd00:192:168:100::1',
      'h2 192.168.100.2 fd00:192:168:100::2',
    ])
    expect(podsOf(two).map((pod) => pod.name)).toEqual(['h1p1', 'h2p1'])
    expect(namespacesOf(two)).toEqual(['underlay', 'outside', 'store', 'h1', 'h2', 'h1p1', 'h2p1'])
    expect(JSON.parse(two.config)).toEqual({
      Network: '10.244.0.0/16',
      EnableIPv6: true,
      IPv6Network: 'fd00:10:244::/48',
      EnableNFTables: true,
      Backend: { Type: 'vxlan' },
    })
  })

  test('may have one family alone', () => {
    const ipv4 = plan({ network: '10.244.0.0/16' })
    expect(ipv4.hosts[0]?.addresses as unknown).toEqual(['192.168.100.1'])
    expect(JSON.parse(ipv4.config)).toEqual({
      Network: '10.244.0.0/16',
      EnableNFTables: true,
      Backend: { Type: 'vxlan' },
    })
    const ipv6 = plan({ network: 'fd00:10:244::/48' })
    expect(ipv6.hosts[0]?.addresses as unknown).toEqual(['fd00:192:168:100::1'])
    expect(ipv6.store.address as string).toBe('fd00:192:168:100::fd')
    expect(JSON.parse(ipv6.config)).toMatchObject({ EnableIPv4: false, EnableIPv6: true })
  })

  test('shows its network without host bits, however it was typed', () => {
    const typed = plan({ network: 'FD00:1::7/48, 10.99.3.4/16' })
    expect(typed.parameters.network).toBe('10.99.0.0/16,fd00:1::/48')
    expect(JSON.parse(typed.config)).toMatchObject({ Network: '10.99.0.0/16', IPv6Network: 'fd00:1::/48' })
    expect(differences({ network: '10.99.7.0/16,fd00:1::/48' }, typed.parameters)).toEqual([])
    expect(differences({ network: '10.99.0.0/16' }, typed.parameters)).toEqual([
      '--network 10.99.0.0/16 (it has 10.99.0.0/16,fd00:1::/48)',
    ])
  })

  test('addresses are distinct, on the underlay, and clear of the pod network', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.constantFrom('10.244.0.0/16', '192.168.0.0/16', '203.0.0.0/8', '172.16.0.0/12'),
        fc.constantFrom('fd00:10:244::/48', 'fd00::/16', '2001:db8:203::/48'),
        (hosts, ipv4, ipv6) => {
          const p = plan({ hosts, pods: 1, network: `${ipv4},${ipv6}` })
          expect(p.stacks.map(({ network }) => network as string)).toEqual([ipv4, ipv6])
          for (const [i, { network, underlay, router, store, outside }] of p.stacks.entries()) {
            const addresses = [router, store, ...p.hosts.map((host) => host.addresses[i])]
            expect(new Set(addresses).size).toBe(hosts + 2)
            expect(addresses.every((ip) => ip !== undefined && containsIp(underlay, ip))).toBe(true)
            expect(overlaps(underlay, network) || overlaps(outside.prefix, network)).toBe(false)
          }
        },
      ),
    )
  })

  test.each([
    [{ hosts: 0 }, '--hosts 0: want a whole number from 1 to 100'],
    [{ hosts: 101 }, '--hosts 101: want a whole number from 1 to 100'],
    [{ hosts: 16, pods: 17 }, '--pods 17: want a whole number from 1 to 16 with 16 hosts'],
    [{ network: '10.244.0.0' }, 'want a CIDR of each family or of one, such as 10.244.0.0/16,fd00:'],
    [{ network: '10.244.0.0/16,' }, '"" is no network'],
    [{ network: '10.1.0.0/16,10.2.0.0/16' }, 'want at most one network of each family'],
    [{ network: '10.244.0.0/16,fd00::/125' }, 'IPv6Network is too small'],
    [{ network: 'fd00::/63', hosts: 4 }, 'too few for 4 hosts'],
    [{ network: 'fc00::/6' }, 'leaves no addresses for the hosts'],
    [{ network: '10.0.0.0/30' }, '--network 10.0.0.0/30: '],
    [{ network: '10.0.0.0/22', hosts: 4 }, 'too few for 4 hosts'],
    [{ network: '10.0.0.0/26', hosts: 3, pods: 14 }, 'room for 13 pods, not 14'],
    [{ network: '128.0.0.0/1' }, 'leaves no addresses for the hosts'],
    [{ network: '0.0.0.0/0' }, 'leaves no addresses for the hosts'],
    [{ network: '127.0.0.0/8' }, '--network 127.0.0.0/8: no pod can have an address of 127.0.0.0/8'],
    [{ network: '126.0.0.0/7' }, 'no pod can have an address of 127.0.0.0/8'],
    [{ network: '0.0.0.0/8' }, 'no pod can have an address of 0.0.0.0/8'],
    [{ network: '224.1.0.0/16' }, 'no pod can have an address of 224.0.0.0/4'],
    [{ network: '10.1.0.0/16,fe80::/48' }, 'no pod can have an address of fe80::/10'],
    [{ network: 'ff00::/16' }, 'no pod can have an address of ff00::/8'],
    [{ store: 'etcd://127.0.0.1' }, 'want embedded, or etcd://HOST:PORT'],
    [{ store: 'http://127.0.0.1:2379' }, 'want embedded, or etcd://HOST:PORT'],
    [{ peers: { h4: '/bin/flanneld' } }, '--peer h4=…: this lab has the hosts h1 to h3'],
  ])('%j is refused with a sentence', (changes, sentence) => {
    expect(refusal(changes)).toContain(sentence)
  })

  test('an etcd is told by host and port, IPv6 in brackets', () => {
    expect(plan({ store: 'etcd://127.0.0.1:2379' }).store.etcd).toEqual({ host: '127.0.0.1', port: 2379 })
    expect(plan({ store: 'etcd://[::1]:4001' }).store.etcd).toEqual({ host: '::1', port: 4001 })
    expect(plan().store.etcd).toBeUndefined()
  })

  test('a peer is HOST=PATH', () => {
    expect(parsePeer('h2=/opt/a=b/flanneld')).toEqual(['h2', '/opt/a=b/flanneld'])
    for (const wrong of ['h2', 'h0=/x', 'pod=/x', 'h1='])
      expect(() => parsePeer(wrong)).toThrow('want HOST=PATH')
  })

  test('only what is asked for is compared with what is up', () => {
    expect(differences({}, { ...DEFAULTS, hosts: 5 })).toEqual([])
    expect(differences({ hosts: 5, peers: {} }, { ...DEFAULTS, hosts: 5 })).toEqual([])
    expect(differences({ hosts: 3, peers: { h1: '/f' } }, { ...DEFAULTS, hosts: 5 })).toEqual([
      '--hosts 3 (it has 5)',
      '--peer h1=/f (it has none)',
    ])
  })
})
