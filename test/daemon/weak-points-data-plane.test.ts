// Weak points of upstream's data plane (flannel-compat 10.A) that show within seconds: heddle and upstream v0.28.9 in the
// same scene, so that the scene is proved to provoke them.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { setTimeout as pause } from 'node:timers/promises'
import {
  both,
  HOST_GW,
  knows,
  PATIENCE_SECONDS,
  peersOf,
  putHostGw,
  putPeer,
  subnetOf,
} from '../support/both-makes.ts'
import { Flanneld, type Make } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { STORE_IP, type Host } from '../support/segment.ts'
import { leaseKey, networkConfig } from '../support/stores.ts'
import { needsUpstream } from '../support/upstream.ts'

setDefaultTimeout(60_000)
needsUpstream()

/** Of what upstream doesn't do, enough to be sure. */
const LONG_MS = 1_500

/** What `ask` shows once it is as heddle has it; upstream has a while for it. */
async function outcome(make: Make, ask: () => Promise<string>, good: string): Promise<string> {
  if (make === 'upstream') {
    await pause(LONG_MS)
    return await ask()
  }
  let last = ''
  const isGood = async () => ((last = await ask()) === good ? last : undefined)
  return await eventually(`there is ${good}`, isGood, PATIENCE_SECONDS).catch(() => last)
}
const peers = (host: Host) => async () => (await peersOf(host)).join(' ')
/** The way to a peer's pods: `flannel.1`, `eth0`, or both. */
const way = (host: Host, number: number) => async () =>
  [...(await host.sh(`ip route show ${subnetOf(number)}`)).matchAll(/dev (\S+)/g)]
    .map(([, dev]) => dev)
    .join(' ')

// Mostly waiting, so all at once.
describe.concurrent('in the same scene as upstream', () => {
  test('weak point 4: a device that was down for a moment leads to its peers again', async () => {
    const seen = await both(async (make, { host, store }) => {
      putPeer(store, 51)
      await using _ = await Flanneld.start(host, store, { make })
      await knows(host, 51)
      await host.sh('ip link set flannel.1 down; ip link set flannel.1 up')
      return await outcome(make, peers(host), subnetOf(51))
    })
    expect(seen).toEqual({ upstream: '', heddle: subnetOf(51) })
  })

  test('weak point 5: a device that was deleted is made again with its peers', async () => {
    const seen = await both(async (make, { host, store }) => {
      putPeer(store, 51)
      await using _ = await Flanneld.start(host, store, { make })
      await knows(host, 51)
      await host.sh('ip link del flannel.1')
      const isBack = async () => (await host.sh('ip -br link show type vxlan')) !== '' || undefined
      await eventually('the device is back', isBack, PATIENCE_SECONDS)
      return await outcome(make, peers(host), subnetOf(51))
    })
    expect(seen).toEqual({ upstream: '', heddle: subnetOf(51) })
  })

  test('weak point 6: a peer that left while nobody looked leaves nothing', async () => {
    const seen = await both(async (make, { host, store }) => {
      putPeer(store, 51)
      const first = await Flanneld.start(host, store, { make })
      await knows(host, 51)
      await first.end('SIGKILL')
      store.delete(leaseKey(subnetOf(51)))
      putPeer(store, 52)
      await using _ = await Flanneld.start(host, store, { make })
      await knows(host, 52)
      return await outcome(make, peers(host), subnetOf(52))
    })
    expect(seen).toEqual({ upstream: `${subnetOf(51)} ${subnetOf(52)}`, heddle: subnetOf(52) })
  })

  test('weak point 9: what is gone already holds nobody up', async () => {
    const seen = await both(async (make, { host, store }) => {
      putPeer(store, 51)
      await using flanneld = await Flanneld.start(host, store, { make })
      await knows(host, 51)
      flanneld.process.signal('SIGSTOP')
      await host.sh('ip neigh flush dev flannel.1 nud permanent; ip route del 10.244.51.0/24')
      store.delete(leaseKey(subnetOf(51)))
      putPeer(store, 52)
      flanneld.process.signal('SIGCONT')
      return await outcome(make, peers(host), subnetOf(52))
    })
    expect(seen).toEqual({ upstream: '', heddle: subnetOf(52) })
  })

  test('weak point 12: a device that is there becomes what is asked for', async () => {
    const seen = await both(async (make, { host, store }) => {
      await host.sh(
        `ip link add flannel.1 mtu 1400 type vxlan id 1 dstport 8472 local ${host.ip} dev eth0 learning ageing 77`,
      )
      const index = host.index('flannel.1')
      await using _ = await Flanneld.start(host, store, { make })
      const device = await host.sh('ip -d link show flannel.1')
      const told = [/mtu \d+/, /nolearning/, /ageing \d+/].map((part) => part.exec(device)?.[0] ?? '')
      return [...told, host.index('flannel.1') === index, host.subnetValue('FLANNEL_MTU')]
    })
    expect(seen).toEqual({
      upstream: ['mtu 1400', '', 'ageing 77', true, '1450'],
      heddle: ['mtu 1450', 'nolearning', 'ageing 300', true, '1450'],
    })
  })

  test('weak point 13: whether a peer is routed directly is decided again as routes change', async () => {
    const seen = await both(
      async (make, { host, store }) => {
        putPeer(store, 51)
        await using _ = await Flanneld.start(host, store, { make })
        await knows(host, 51)
        const before = await way(host, 51)()
        await host.sh(`ip route add 192.168.100.51 via ${STORE_IP}`)
        const behind = await outcome(make, way(host, 51), 'flannel.1')
        store.delete(leaseKey(subnetOf(51)))
        return [before, behind, await outcome(make, way(host, 51), '')]
      },
      networkConfig({ Type: 'vxlan', DirectRouting: true }),
    )
    expect(seen).toEqual({ upstream: ['eth0', 'eth0', 'eth0'], heddle: ['eth0', 'flannel.1', ''] })
  })

  test('weak point 14: of a peer with another MAC the old one goes', async () => {
    const [old, now] = ['02:42:00:00:00:51', '02:42:00:00:01:51']
    const seen = await both(async (make, { host, store }) => {
      putPeer(store, 51, old)
      await using _ = await Flanneld.start(host, store, { make })
      await knows(host, 51)
      putPeer(store, 51, now)
      const macs = async () =>
        [...(await host.sh('bridge fdb show dev flannel.1')).matchAll(/^\S+/gm)]
          .map(([mac]) => mac)
          .sort()
          .join(' ')
      const isThere = async () => (await macs()).includes(now) || undefined
      await eventually('the new MAC is there', isThere, PATIENCE_SECONDS)
      return await outcome(make, macs, now)
    })
    expect(seen).toEqual({ upstream: `${old} ${now}`, heddle: now })
  })

  test('weak point 15: a blackhole route costs no pod its way', async () => {
    const seen = await both(async (make, { host, store }) => {
      const args = ['--ip-blackhole-route', '--iptables-resync=1']
      await using _ = await Flanneld.start(host, store, { make, args })
      const isThere = async () => (await host.sh('ip route show type blackhole')) !== '' || undefined
      await eventually('the blackhole is there', isThere, PATIENCE_SECONDS)
      const pod = await host.pod()
      return /dev \S+/.exec(await host.sh(`ip route get ${pod.ip}`).catch(String))?.[0] ?? 'none'
    })
    expect(seen).toEqual({ upstream: 'none', heddle: 'dev cni0' })
  })

  test('weak point 19: an interface that is made anew is used', async () => {
    const seen = await both(async (make, { host, store, segment }) => {
      putHostGw(store, 51)
      await using _ = await Flanneld.start(host, store, { make })
      await knows(host, 51)
      await host.sh('ip link del eth0')
      await segment.switch.sh(
        `ip link add port1 type veth peer name eth0 netns ${host.namespace.path}; ip link set port1 master br0 up`,
      )
      await host.sh(
        `ip addr add ${host.ip}/24 dev eth0; ip link set eth0 up; ip route add default via ${STORE_IP}`,
      )
      putHostGw(store, 53)
      return await outcome(make, peers(host), `${subnetOf(51)} ${subnetOf(53)}`)
    }, HOST_GW)
    expect(seen).toEqual({ upstream: '', heddle: `${subnetOf(51)} ${subnetOf(53)}` })
  })
})
