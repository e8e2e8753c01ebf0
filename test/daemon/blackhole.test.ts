// --ip-blackhole-route: packets to addresses of this host's own subnets that no pod has end here; pods are reached all
// the same, whichever comes first.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment, type Host, type Pod } from '../support/segment.ts'
import { networkConfig, TestStore } from '../support/stores.ts'

setDefaultTimeout(60_000)

const BLACKHOLES = 'ip route show type blackhole; ip -6 route show type blackhole'
const args = ['--ip-blackhole-route']

/** The host reaches its own pod, by both families. */
async function reaches(host: Host, pod: Pod): Promise<void> {
  for (const ip of pod.ips)
    await eventually(
      `the host reaches its pod ${ip}`,
      async () =>
        (await host.sh(`ping -n -q -c 1 -W 1 ${ip} || true`)).includes(' 0% packet loss') || undefined,
    )
}

// Upstream's has metric 0 (IPv4), or the same metric as the bridge's: it wins where it is first.
test('weak point 15: local pods are reached, whichever comes first; the route goes with the option', async () => {
  await using segment = await Segment.create(1, 'dual')
  const host = segment.host(1)
  const config = networkConfig({ Type: 'vxlan' }, { EnableIPv6: true, IPv6Network: 'fd00:5::/48' })
  await using store = await TestStore.start('etcd', segment, config)
  const subnets = () => [host.subnet, host.subnetValue('FLANNEL_IPV6_SUBNET').replace('1/64', '/64')]

  const first = await Flanneld.start(host, store, { args })
  for (const subnet of subnets()) expect(await host.sh(BLACKHOLES)).toContain(`blackhole ${subnet} `)
  // Nothing of that address yet: it ends here, not at the default route.
  expect(await host.sh(`ip route get ${host.podGateway} 2>&1 || true`)).toContain('Invalid argument')
  const pod = await host.pod()
  await reaches(host, pod)
  await host.sh('ip route flush type blackhole; ip -6 route flush type blackhole')
  await eventually('both are back', async () => {
    const there = await host.sh(BLACKHOLES)
    return subnets().every((subnet) => there.includes(subnet)) || undefined
  })
  await reaches(host, pod)
  await first.end('SIGTERM')

  await using without = await Flanneld.start(host, store)
  expect(await host.sh(BLACKHOLES)).toBe('')
  await without.end('SIGTERM')
  // The bridge is there before the route now.
  await using _ = await Flanneld.start(host, store, { args })
  for (const subnet of subnets()) expect(await host.sh(BLACKHOLES)).toContain(`blackhole ${subnet} `)
  await reaches(host, pod)
})
