// `heddle explain` names the first object that is missing, for each link of the chain, while no flanneld runs.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { asJson, base, explainedNetwork, run } from './support/explain.ts'
import { eventually } from './support/process.ts'
import type { Host } from './support/segment.ts'

setDefaultTimeout(60_000)

interface Break {
  readonly what: string
  readonly command: string
  /** What no flanneld restores. */
  readonly mend?: string
  /** The kernel may forget it: then once more. */
  readonly fades?: true
  readonly to?: string
  readonly from?: string
  readonly missing: { readonly kind: string; readonly state: string; readonly object?: RegExp }
  readonly says: RegExp
}

describe('on a host of a VXLAN network', () => {
  const stack = new AsyncDisposableStack()
  let host: Host
  let there: string
  let here: string
  let mended: () => Promise<void>

  beforeAll(async () => {
    ;({ host, there, here, mended } = await explainedNetwork(stack))
  })
  afterAll(() => stack.disposeAsync())

  const DEFAULT = 'ip route add default via 192.168.100.254'
  const breaks: readonly Break[] = [
    {
      what: 'the route',
      command: 'ip route del $PEER/24',
      missing: { kind: 'route', state: 'missing', object: /^\S+\/24 dev flannel\.1$/ },
      says: /missing: route .*; the packet would leave by default via 192\.168\.100\.254.*\n.*if it was removed: no flanneld answers here/,
    },
    {
      what: 'the nexthop',
      command: `ip nexthop del id $(ip nexthop | sed -n "s/id \\([0-9]*\\) via $PEER .*/\\1/p")`,
      missing: { kind: 'nexthop', state: 'missing', object: /^via \S+ dev flannel\.1$/ },
      says: /missing: nexthop .*the route to its subnet went with it/,
    },
    {
      what: 'the neighbour',
      command: 'ip neigh del $PEER dev flannel.1',
      missing: { kind: 'neighbour', state: 'missing', object: /^\S+ dev flannel\.1$/ },
      says: /missing: neighbour \S+ dev flannel\.1: nothing tells which MAC/,
    },
    {
      what: 'the FDB entry',
      command:
        'bridge fdb show dev flannel.1 | while read mac rest; do bridge fdb del $mac dev flannel.1 self; done',
      missing: { kind: 'fdb', state: 'missing' },
      says: /missing: fdb \S+ dev flannel\.1: nothing tells behind which host/,
    },
    {
      what: 'the device down',
      command: 'ip link set flannel.1 down',
      missing: { kind: 'link', state: 'wrong' },
      says: /flannel\.1 is down, and its routes went with that\n {2}→ no flanneld answers here: start it/,
    },
    {
      what: 'the device',
      command: 'ip link del flannel.1',
      missing: { kind: 'link', state: 'missing' },
      says: /missing: link flannel\.<VNI> vxlan: there is no VXLAN device of flannel for IPv4,/,
    },
    {
      what: 'the underlay down',
      command: 'ip link set eth0 down',
      mend: `ip link set eth0 up; ${DEFAULT}`,
      missing: { kind: 'link', state: 'wrong', object: /^eth0 / },
      says: /eth0 is down\n {2}→ ip link set eth0 up/,
    },
    {
      what: "the underlay's address",
      command: 'ip addr del 192.168.100.1/24 dev eth0; ip addr add 192.168.100.9/24 dev eth0',
      mend: `ip addr del 192.168.100.9/24 dev eth0; ip addr add 192.168.100.1/24 dev eth0; ${DEFAULT}`,
      missing: { kind: 'address', state: 'missing', object: /^192\.168\.100\.1 dev eth0$/ },
      says: /missing: address 192\.168\.100\.1 dev eth0: flannel\.1 sends from it.*\n {2}→ give it back to eth0; .* start flanneld anew/,
    },
    {
      what: 'the route of the underlay',
      command: 'ip route flush dev eth0',
      mend: `ip route add 192.168.100.0/24 dev eth0 src 192.168.100.1; ${DEFAULT}`,
      missing: {
        kind: 'route',
        state: 'missing',
        object: /^192\.168\.100\.2 from 192\.168\.100\.1 dev eth0$/,
      },
      says: /missing: route 192\.168\.100\.2 .*: no route leads from here to that host/,
    },
    {
      what: 'the other host',
      command: 'ip neigh replace 192.168.100.2 dev eth0 nud failed',
      mend: 'ip neigh del 192.168.100.2 dev eth0 || true',
      fades: true,
      missing: { kind: 'neighbour', state: 'missing', object: /^192\.168\.100\.2 dev eth0 FAILED$/ },
      says: /nobody answered on eth0 when 192\.168\.100\.2 was asked for/,
    },
    {
      what: 'a foreign route that wins',
      command: 'ip route add $PEER/25 via 192.168.100.9',
      mend: 'ip route del $PEER/25',
      missing: { kind: 'route', state: 'wrong', object: /\/25 via 192\.168\.100\.9 dev eth0 proto boot$/ },
      says: /it is not flannel's and wins over 10\.244\.\S+ nhid .*\n {2}→ ip route del \S+\/25 proto boot/,
    },
    {
      what: 'a foreign route that wins on the device of flannel',
      command: 'ip route add $PEER/25 dev flannel.1 proto static',
      mend: 'ip route del $PEER/25 || true',
      missing: { kind: 'route', state: 'wrong', object: /\/25 dev flannel\.1 proto static$/ },
      says: /it is not flannel's and wins over 10\.244\./,
    },
    {
      what: 'a route with the protocol of heddle in another table',
      command: 'ip route add $PEER/24 via 192.168.100.9 table 77 proto 104; ip rule add lookup 77 pref 77',
      mend: 'ip rule del pref 77; ip route flush table 77',
      missing: { kind: 'route', state: 'wrong', object: / proto 104 table 77$/ },
      says: /→ ip route del \S+\/24 proto 104 table 77, if nobody needs it/,
    },
    {
      what: 'a foreign address in the network',
      command: 'ip addr add 10.244.99.1/24 dev eth0',
      mend: 'ip addr del 10.244.99.1/24 dev eth0',
      to: '10.244.99.7',
      missing: { kind: 'route', state: 'wrong' },
      says: /it is not flannel's \(proto kernel\)\n {2}→ ip addr del 10\.244\.99\.1\/24 dev eth0, if nobody/,
    },
    {
      what: 'the bridge that a packet comes in by',
      command: 'ip link set cni0 down',
      mend: 'ip link set cni0 up',
      from: 'here',
      missing: { kind: 'link', state: 'wrong', object: /^cni0 / },
      says: /cni0 is down/,
    },
    {
      what: 'a blackhole',
      command: 'ip route add blackhole $TO',
      mend: 'ip route del blackhole $TO',
      missing: { kind: 'route', state: 'wrong', object: /^blackhole / },
      says: /packets end here/,
    },
    {
      what: 'an unreachable route',
      command: 'ip route add unreachable $TO',
      mend: 'ip route del unreachable $TO',
      missing: { kind: 'route', state: 'wrong', object: /^unreachable / },
      says: /packets end here/,
    },
    {
      what: 'forwarding',
      command: 'echo 0 > /proc/sys/net/ipv4/ip_forward',
      mend: 'echo 1 > /proc/sys/net/ipv4/ip_forward',
      from: 'here',
      missing: { kind: 'forwarding', state: 'wrong' },
      says: /net\.ipv4\.ip_forward = 0: this host forwards nothing .*\n {2}→ sysctl -w net\.ipv4\.ip_forward=1/,
    },
    {
      what: 'the masquerading',
      command: 'nft flush ruleset',
      to: '192.0.2.1',
      from: 'here',
      missing: { kind: 'masquerade', state: 'missing', object: /^table ip flannel-ipv4$/ },
      says: /subnet\.env says that flanneld masquerades/,
    },
    {
      what: "the pod's neighbour",
      command: 'ip neigh replace $HERE dev cni0 nud failed',
      mend: 'ip neigh del $HERE dev cni0 || true',
      fades: true,
      to: 'here',
      missing: { kind: 'neighbour', state: 'missing', object: / dev cni0 FAILED$/ },
      says: /nobody answered on cni0/,
    },
    {
      what: "the only pod's port down, with which the bridge has no carrier",
      command:
        'ip link set pod0 down; timeout 10 sh -c "until ip -br link show cni0 | grep -q DOWN; do sleep .02; done"',
      mend: 'ip link set pod0 up',
      to: 'here',
      missing: { kind: 'link', state: 'wrong', object: /^cni0 / },
      says: /cni0 has no carrier/,
    },
    {
      what: 'the bridge down',
      command: 'ip link set cni0 down',
      mend: 'ip link set cni0 up',
      to: 'here',
      missing: { kind: 'link', state: 'wrong', object: /^cni0 / },
      says: /cni0 is down/,
    },
    {
      what: "the bridge's address",
      command: 'ip addr flush dev cni0',
      mend: 'ip addr add $GATEWAY/24 dev cni0',
      to: 'here',
      missing: { kind: 'address', state: 'missing', object: /^\S+\.1\/24 dev cni0$/ },
      says: /→ ip addr add \S+\.1\/24 dev cni0/,
    },
    {
      what: 'the bridge',
      command: 'ip link del cni0',
      to: 'here',
      missing: { kind: 'link', state: 'missing', object: /^cni0 bridge$/ },
      says: /no bridge carries it\n {2}→ the CNI plugin makes it with the first pod/,
    },
    {
      what: 'the bridge, with a blackhole of ours in its place (--ip-blackhole-route)',
      command: 'ip route add blackhole $OWN/24 proto 104 metric 4294967295',
      mend: 'ip route del blackhole $OWN/24 metric 4294967295 || true',
      to: 'here',
      missing: { kind: 'link', state: 'missing', object: /^cni0 bridge$/ },
      says: /blackhole \S+ proto 104 metric 4294967295 is all there is for it/,
    },
  ]
  for (const { what, command, mend, fades, to = 'there', from, missing, says } of breaks)
    test(`names it: ${what}`, async () => {
      const set = `PEER=${base(there)}; TO=${there}; HERE=${here}; GATEWAY=${host.podGateway}; OWN=${base(here)}`
      const words = [
        to === 'there' ? there : to === 'here' ? here : to,
        ...(from === undefined ? [] : ['--from', here]),
      ]
      const { told, status, stdout } = await eventually('it is broken', async () => {
        await host.sh(`${set}; ${command}`)
        const seen = { told: asJson(host, host, words), ...run(host, host, words) }
        return fades && (seen.told.complete || seen.status === 0) ? undefined : seen
      })
      if (mend !== undefined) await host.sh(`${set}; ${mend}`)
      expect(status).toBe(1)
      const { object, ...shape } = missing
      expect(told.missing).toMatchObject(shape)
      if (object !== undefined) expect(told.missing?.object).toMatch(object)
      expect(told.hops.at(-1)).toEqual(told.missing as never)
      expect(stdout).toMatch(says)
      await mended()
      // A link that was down has its carrier a little later.
      if (to === 'there')
        await eventually('the way is whole', () => (run(host, host, words).status === 0 ? true : undefined))
    })
})
