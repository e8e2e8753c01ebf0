// Leases over what this host's own links are connected to: no route takes a bridge's prefix, or this host's neighbours,
// away; from the moment that a link has an address until it hasn't.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { GROUP } from '../../src/netlink/monitor.ts'
import { parseRoute } from '../../src/netlink/route-info.ts'
import { RTM_ROUTE } from '../../src/netlink/route.ts'
import { HOST_GW, hostGwLease, knows, putPeer, subnetOf } from '../support/both-makes.ts'
import { Recorder } from '../support/changes.ts'
import { Flanneld } from '../support/flanneld.ts'
import { loneHost } from '../support/lone-host.ts'
import { eventually } from '../support/process.ts'
import { peerPart, programmed, refused } from '../support/refusals.ts'
import { Segment, type Host } from '../support/segment.ts'
import { leaseKey, TestStore } from '../support/stores.ts'

setDefaultTimeout(60_000)

const GOOD = 60

describe('a peer’s subnet is refused for', () => {
  const stack = new AsyncDisposableStack()
  let host: Host
  let store: TestStore
  let flanneld: Flanneld

  beforeAll(async () => {
    ;({ host, store, flanneld } = stack.use(await loneHost((own) => putPeer(own, GOOD))))
    await knows(host, GOOD)
  }, 60_000)
  afterAll(() => stack.disposeAsync())

  test('the prefix of another bridge of this host; from the moment that it has it until it hasn’t', async () => {
    await host.sh(
      'ip link add docker0 type bridge; ip addr add 10.244.70.1/24 dev docker0; ip link set docker0 up',
    )
    const way = () => host.sh('ip route get 10.244.70.9')
    const subnet = subnetOf(70)
    putPeer(store, 70)
    expect(await refused(flanneld, subnet)).toContain(
      '10.244.70.0/24 of docker0 on this host is the same: take 10.244.70.1 off',
    )
    expect(await way()).toContain('dev docker0')
    await host.sh('ip addr del 10.244.70.1/24 dev docker0')
    await programmed(host, subnet)
    expect(await way()).toContain('dev flannel.1')
    await host.sh('ip addr add 10.244.70.1/24 dev docker0')
    await eventually(
      'docker0 has its own again',
      async () => (await way()).includes('dev docker0') || undefined,
    )
    await host.sh('ip addr del 10.244.70.1/24 dev docker0')
    await programmed(host, subnet)
    await host.sh('ip addr add 10.244.70.129/25 dev docker0')
    expect(await refused(flanneld, subnet)).toContain(
      '10.244.70.128/25 of docker0 on this host lies in 10.244.70.0/24',
    )
    await eventually(
      'its route is gone',
      async () => !(await peerPart(host)).includes(`${subnet} via`) || undefined,
    )
    await host.sh('ip link set docker0 down')
    await programmed(host, subnet)
    await host.sh('ip link set docker0 up')
    await refused(flanneld, subnet)
    await host.sh('ip link del docker0')
    await programmed(host, subnet)
    store.delete(leaseKey(subnet))
  })

  test('an address of this host in it, but not for a bridge of our own pods, nor for an underlay that the pod network lies in', async () => {
    await host.pod()
    await host.sh('ip addr add 10.200.0.1/8 dev eth0')
    putPeer(store, 71)
    await knows(host, 71, GOOD)
    expect(Object.keys((await flanneld.report()).refused ?? {})).toEqual([])
    // The address of a host next to this one, in a subnet of a peer: that would be cut off.
    await host.sh('ip addr add 10.244.72.9/8 dev eth0')
    putPeer(store, 72)
    expect(await refused(flanneld, subnetOf(72))).toContain(
      "has 10.244.72.9 in it, this host's own address on eth0",
    )
    await host.sh('ip addr del 10.244.72.9/8 dev eth0')
    await knows(host, 72)
    for (const number of [71, 72]) store.delete(leaseKey(subnetOf(number)))
    await host.sh('ip addr del 10.200.0.1/8 dev eth0')
  })
})

const PEER_IP = '192.168.100.61'

test('our former subnet is no peer’s as long as our bridge has it', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, HOST_GW)
  await using flanneld = await Flanneld.start(host, store)
  await host.pod()
  const former = host.subnet
  const gateway = host.podGateway
  const pod = gateway.replace(/\.1$/, '.10')
  using recorder = new Recorder(host, 'route', [GROUP.ipv4Route])
  store.put(leaseKey(former), hostGwLease(PEER_IP))
  const refused = await eventually('the former subnet is refused', async () =>
    Object.values((await flanneld.report()).refused ?? {}).find((reason) => reason.includes(former)),
  )
  expect(refused).toContain(`${former} of cni0 on this host is the same`)
  expect(await host.sh(`ip route get ${pod}`)).toContain('dev cni0')
  const made: (string | undefined)[] = []
  for (const { type, body } of recorder.take()) if (type === RTM_ROUTE.put) made.push(parseRoute(body)?.to)
  expect(made).not.toContain(former)
  await host.sh(`ip addr del ${gateway}/24 dev cni0`)
  await eventually(
    'it is the peer’s now',
    async () => (await host.sh(`ip route get ${pod}`)).includes(`via ${PEER_IP}`) || undefined,
  )
})
