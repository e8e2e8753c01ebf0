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
    expect(two.hosts.map((host) => `${host.name} ${host.underlay}`)).toEqual([
      'h1 192.168.100.1',
      'h2 192.168.100.2',
    ])
    expect(podsOf(two).map((pod) => pod.name)).toEqual(['h1p1', 'h2p1'])
    expect(namespacesOf(two)).toEqual(['underlay', 'outside', 'store', 'h1', 'h2', 'h1p1', 'h2p1'])
    expect(JSON.parse(two.config)).toEqual({
      Network: '10.244.0.0/16',
      EnableNFTables: true,
      Backend: { Type: 'vxlan' },
    })
  })

  test('shows its network without host bits, however it was typed', () => {
    const typed = plan({ network: '10.99.3.4/16' })
    expect(typed.parameters.network).toBe('10.99.0.0/16')
    expect(JSON.parse(typed.config)).toMatchObject({ Network: '10.99.0.0/16' })
    expect(differences({ network: '10.99.7.0/16' }, typed.parameters)).toEqual([])
  })

  test('addresses are distinct, on the underlay, and clear of the pod network', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.constantFrom('10.244.0.0/16', '192.168.0.0/16', '203.0.0.0/8', '172.16.0.0/12'),
        (hosts, network) => {
          const p = plan({ hosts, pods: 1, network })
          const addresses = [p.router, p.store.address, ...p.hosts.map((host) => host.underlay)]
          expect(new Set(addresses).size).toBe(hosts + 2)
          expect(addresses.every((ip) => containsIp(p.underlay, ip))).toBe(true)
          expect(overlaps(p.underlay, p.network) || overlaps(p.outside.prefix, p.network)).toBe(false)
        },
      ),
    )
  })

  test.each([
    [{ hosts: 0 }, '--hosts 0: want a whole number from 1 to 100'],
    [{ hosts: 101 }, '--hosts 101: want a whole number from 1 to 100'],
    [{ hosts: 16, pods: 17 }, '--pods 17: want a whole number from 1 to 16 with 16 hosts'],
    [{ network: '10.244.0.0' }, 'want an IPv4 network such as 10.244.0.0/16'],
    [{ network: 'fd00::/56' }, 'want an IPv4 network'],
    [{ network: '10.0.0.0/30' }, '--network 10.0.0.0/30: '],
    [{ network: '10.0.0.0/22', hosts: 4 }, 'too few for 4 hosts'],
    [{ network: '10.0.0.0/26', hosts: 3, pods: 14 }, 'room for 13 pods, not 14'],
    [{ network: '128.0.0.0/1' }, 'leaves no addresses for the hosts'],
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
