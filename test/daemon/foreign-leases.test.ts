// Leases that nobody should believe, written by somebody else: outside the network, over somebody's subnet, of a copied
// machine, over a prefix of this host's own links. heddle shows them and programs nothing; once they are mended they come
// in. Upstream programs them all.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { both, knows, PATIENCE_SECONDS, putPeer, subnetOf } from '../support/both-makes.ts'
import { Changes } from '../support/changes.ts'
import { Flanneld } from '../support/flanneld.ts'
import { loneHost } from '../support/lone-host.ts'
import { eventually } from '../support/process.ts'
import { peerPart, programmed, refusalOf, refused } from '../support/refusals.ts'
import { Segment, type Host } from '../support/segment.ts'
import { leaseKey, networkConfig, TestStore, vxlanLease } from '../support/stores.ts'
import { needsUpstream } from '../support/upstream.ts'

setDefaultTimeout(60_000)
needsUpstream()

const GOOD = 60
const SUBNET = subnetOf(61)
const macOf = (number: number) => `02:42:00:00:00:${number}`
const addressOf = (number: number) => `192.168.100.${number}`
const lease = (number: number, changes: { ip?: string; mac?: string } = {}) =>
  vxlanLease(changes.ip ?? addressOf(number), changes.mac ?? macOf(number))

describe('weak point 65: a foreign writer’s lease is shown, not programmed, until it is mended:', () => {
  const stack = new AsyncDisposableStack()
  let host: Host
  let store: TestStore
  let flanneld: Flanneld

  beforeAll(async () => {
    // Nothing that is deleted is waited for.
    const args = ['--store-reset-grace=0']
    ;({ host, store, flanneld } = stack.use(await loneHost((own) => putPeer(own, GOOD), { args })))
    await knows(host, GOOD)
  }, 60_000)
  afterAll(() => stack.disposeAsync())

  const metric = async (name: string) =>
    Number(new RegExp(`^${name} (\\d+)`, 'm').exec((await flanneld.ask('/metrics')).body)?.[1])

  const cases: readonly {
    readonly what: string
    readonly bad: () => string
    readonly reason: RegExp
    /** Another value mends it, unless it is the good peer's going. */
    readonly mend?: 'good goes'
    readonly subnet?: string
  }[] = [
    {
      what: 'the MAC of another peer',
      bad: () => lease(61, { mac: macOf(GOOD) }),
      reason: /that of the older lease/,
    },
    { what: 'our own MAC', bad: () => lease(61, { mac: ownMac }), reason: /is our own/ },
    {
      what: 'a multicast MAC',
      bad: () => lease(61, { mac: '01:00:5e:00:00:01' }),
      reason: /no single device/,
    },
    { what: 'no MAC', bad: () => lease(61, { mac: '00:00:00:00:00:00' }), reason: /no single device/ },
    {
      what: 'another VNI',
      bad: () => lease(61).replace('"VNI":1', '"VNI":2'),
      reason: /VNI is 2, ours is 1/,
    },
    { what: 'our PublicIP', bad: () => lease(61, { ip: host.ip }), reason: /this host's own/ },
    { what: 'a multicast PublicIP', bad: () => lease(61, { ip: '224.0.0.1' }), reason: /no host's address/ },
    {
      what: 'a PublicIP in its own subnet',
      bad: () => lease(61, { ip: '10.244.61.1' }),
      reason: /its own subnet/,
    },
    {
      what: 'a PublicIP in a peer’s subnet',
      bad: () => lease(61, { ip: '10.244.60.1' }),
      reason: /subnet of the older lease/,
    },
    {
      what: 'a PublicIP in our subnet',
      bad: () => lease(61, { ip: host.podGateway }),
      reason: /this host's own subnet/,
    },
    {
      what: 'a part of a peer’s subnet',
      subnet: '10.244.60.128/25',
      bad: () => lease(61),
      reason: /overlaps the older lease 10\.244\.60\.0-24/,
      mend: 'good goes',
    },
  ]
  let ownMac = ''

  for (const { what, bad, reason, mend, subnet = SUBNET } of cases)
    test(what, async () => {
      ownMac = host.link('flannel.1').mac ?? ''
      using changes = new Changes(host)
      const before = await peerPart(host)
      store.put(leaseKey(subnet), bad())
      expect(await refused(flanneld, subnet)).toMatch(reason)
      expect(await metric('heddle_leases_refused')).toBe(1)
      expect(await changes.take()).toEqual([])
      if (mend === 'good goes') store.delete(leaseKey(subnetOf(GOOD)))
      else store.put(leaseKey(subnet), lease(61))
      await programmed(host, subnet)
      expect(await refusalOf(flanneld, subnet)).toBeUndefined()
      // Spoiled again, it goes, and the good one is what it was.
      if (mend === 'good goes') store.delete(leaseKey(subnet))
      else store.put(leaseKey(subnet), bad())
      putPeer(store, GOOD)
      await eventually('all is as before', async () => (await peerPart(host)) === before || undefined)
      store.delete(leaseKey(subnet))
      await eventually(
        'nothing is refused',
        async () => (await metric('heddle_leases_refused')) === 0 || undefined,
      )
      expect(await peerPart(host)).toBe(before)
    })

  test('a subnet outside the network', async () => {
    using changes = new Changes(host)
    store.put(leaseKey('10.99.1.0/24'), lease(61))
    expect(await refused(flanneld, '10.99.1.0/24')).toContain('outside the network')
    expect(await changes.take()).toEqual([])
    store.delete(leaseKey('10.99.1.0/24'))
  })

  test('not for the PublicIP of another peer, for either may be the one that lives; it is told', async () => {
    putPeer(store, 73)
    store.put(leaseKey(subnetOf(74)), lease(74, { ip: addressOf(73) }))
    await knows(host, 73, 74)
    expect(await metric('heddle_peers_doubtful')).toBe(2)
    expect(await metric('heddle_leases_refused')).toBe(0)
    expect((await flanneld.ask('/status')).body).toContain(
      'PublicIP 192.168.100.73 is that of 10.244.73.0-24 too',
    )
  })
})

test('weak point 65: a bad half leaves the other one in the kernel', async () => {
  await using segment = await Segment.create(1, 'dual')
  const host = segment.host(1)
  await host.sh('ip link add docker0 type bridge; ip link set docker0 up')
  await host.sh('ip addr add 10.244.64.1/24 dev docker0; ip addr add fd00:5:0:65::1/64 dev docker0 nodad')
  await using store = await TestStore.start(
    'etcd',
    segment,
    networkConfig(
      { Type: 'vxlan' },
      { EnableIPv6: true, IPv6Network: 'fd00:5::/48', IPv6SubnetMin: 'fd00:5:0:100::' },
    ),
  )
  const keyOf = (number: number, v6: string) => `${leaseKey(subnetOf(number))}&${v6}::-64`
  const dual = (number: number, mac: number, mac6: number) =>
    JSON.stringify({
      PublicIP: addressOf(number),
      PublicIPv6: `fd00:100::${number}`,
      BackendType: 'vxlan',
      BackendData: { VNI: 1, VtepMAC: macOf(mac) },
      BackendV6Data: { VNI: 1, VtepMAC: macOf(mac6) },
    })
  store.put(keyOf(60, 'fd00:5:0:60'), dual(60, 60, 60))
  store.put(keyOf(61, 'fd00:5:0:61'), dual(61, 60, 61))
  store.put(keyOf(62, 'fd00:5:0:62'), dual(62, 62, 60))
  store.put(keyOf(63, 'fd00:6:0:63'), dual(63, 63, 63))
  store.put(keyOf(64, 'fd00:5:0:64'), dual(64, 64, 64))
  store.put(keyOf(65, 'fd00:5:0:65'), dual(65, 65, 65))
  await using flanneld = await Flanneld.start(host, store)
  const ways = async () => {
    const routes = await host.sh('ip route show; ip -6 route show')
    return [...routes.matchAll(/^(\S+) .*via .*dev flannel/gm)].map(([, to = '']) => to).sort()
  }
  expect(await ways()).toEqual([
    ...[60, 62, 63, 65].map(subnetOf),
    ...[60, 61, 64].map((number) => `fd00:5:0:${number}::/64`),
  ])
  expect(Object.keys((await flanneld.report()).refused ?? {}).length).toBe(5)
  // The copied machine gets a MAC of its own.
  store.put(keyOf(61, 'fd00:5:0:61'), dual(61, 61, 61))
  await knows(host, 61)
})

test('weak point 65: upstream takes a copy’s MAC, a foreign prefix and a bridge of this host from whoever writes them', async () => {
  const seen = await both(async (make, { host, store }) => {
    await host.sh(
      'ip link add docker0 type bridge; ip addr add 10.244.70.1/24 dev docker0; ip link set docker0 up',
    )
    putPeer(store, GOOD)
    putPeer(store, 61, macOf(GOOD))
    putPeer(store, 70)
    store.put(leaseKey('10.99.1.0/24'), lease(62))
    putPeer(store, 99)
    await using _ = await Flanneld.start(host, store, { make })
    await knows(host, GOOD, 99)
    if (make === 'upstream') await knows(host, 61, 70)
    const facts = async () => ({
      outside: (await host.sh('ip route get 10.99.1.9')).includes('dev flannel.1'),
      bridge: (await host.sh('ip route get 10.244.70.9')).includes('dev docker0'),
      copy: /dst (\S+)/.exec(await host.sh(`bridge fdb show dev flannel.1 | grep ${macOf(GOOD)}`))?.[1],
    })
    const outside = make === 'upstream'
    return eventually(
      'all of it is programmed',
      async () => {
        const now = await facts()
        return now.outside === outside ? now : undefined
      },
      PATIENCE_SECONDS,
    )
  })
  expect(seen).toEqual({
    // Pods of the good peer are sent to the copy, or the other way round.
    upstream: { outside: true, bridge: false, copy: addressOf(61) },
    heddle: { outside: false, bridge: true, copy: addressOf(GOOD) },
  })
})
