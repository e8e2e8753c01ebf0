// `heddle explain`: the kernel's objects on a packet's way, and the first that is missing, for each link of the chain,
// while no flanneld runs; and what one that runs adds.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Explanation } from '../src/cli/explain/show.ts'
import { HEDDLE } from './support/executable.ts'
import { Flanneld } from './support/flanneld.ts'
import { flannelPart } from './support/data-plane.ts'
import { kernel, type TestHost } from './support/kernel.ts'
import { eventually } from './support/process.ts'
import { Segment, type Host } from './support/segment.ts'
import { leaseKey, networkConfig, TestStore, vxlanLease } from './support/stores.ts'

setDefaultTimeout(60_000)

interface Place {
  readonly subnetFile: string
  readonly statusSocket: string
}
function run(host: TestHost, { subnetFile, statusSocket }: Place, words: readonly string[]) {
  const flags = [`--subnet-file=${subnetFile}`, `--status-socket=${statusSocket}`, '--config-file=']
  const args = [`--net=${host.namespace.path}`, HEDDLE, 'explain', ...words, '--', ...flags]
  const { status, stdout, stderr } = spawnSync('nsenter', args, { encoding: 'utf8', timeout: 30_000 })
  return { status, stdout, stderr }
}
const asJson = (host: TestHost, place: Place, words: readonly string[]): Explanation =>
  JSON.parse(run(host, place, ['--json', ...words]).stdout) as Explanation

/** The kinds of the hops, as far as they lead. */
const kinds = ({ hops }: Explanation): string =>
  hops.map(({ kind, layer }) => (layer === 'outer' ? `outer ${kind}` : kind)).join(', ')
const TUNNEL = 'route, nexthop, link, neighbour, fdb, outer route, outer link, outer neighbour'

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
  let store: TestStore
  /** Of pods: on the other host, and on this one. */
  let there: string
  let here: string
  const base = (ip: string) => ip.replace(/\.\d+$/, '.0')

  beforeAll(async () => {
    const segment = stack.use(await Segment.create(2))
    host = segment.host(1)
    store = stack.use(await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' })))
    store.put(leaseKey('10.244.21.0/24'), vxlanLease('192.168.100.83', '02:42:00:00:00:81'))
    store.put(leaseKey('10.244.30.0/24'), vxlanLease('192.168.100.84', '00:00:00:00:00:00'))
    stack.use(await Flanneld.start(segment.host(2), store, { args: ['--ip-masq'] }))
    await mended()
    const [own, others] = [await host.pod(), await segment.host(2).pod()]
    here = own.ip
    there = others.ip
    await eventually('the pods reach each other', async () => (await own.reaches(there)) || undefined)
  })
  afterAll(() => stack.disposeAsync())

  /** All is there; the flanneld that made it was killed. */
  const mended = async () => {
    await using flanneld = await Flanneld.start(host, store, { args: ['--ip-masq', '--iface=eth0'] })
    await flanneld.end('SIGKILL')
  }

  test('the way to a pod of another host is whole, hop by hop, and nothing is changed', async () => {
    const before = await flannelPart(host)
    const routes = await host.sh('ip route show table all; ip rule')
    const { status, stdout, stderr } = run(host, host, [there])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(
      /✓ route +10\.244\.\d+\.0\/24 nhid \d+ via 10\.244\.\d+\.0 dev flannel\.1 proto 104 onlink/,
    )
    expect(stdout).toMatch(/✓ fdb +\S+ dev flannel\.1 dst 192\.168\.100\.2\n +in a VXLAN packet:\n/)
    expect(stdout).toContain('not known  what flanneld wants there: no flanneld listens at')
    expect(stdout).toEndWith('nothing is missing\n')
    const told = asJson(host, host, [there])
    expect(kinds(told)).toBe(TUNNEL)
    expect(Object.keys(told)).toEqual(['to', 'from', 'complete', 'hops', 'missing', 'heddle', 'unknown'])
    expect(told).toMatchObject({ to: there, from: null, complete: true, missing: null, heddle: null })
    expect(kinds(asJson(host, host, [there, '--from', here]))).toBe(`forwarding, ${TUNNEL}`)
    expect(await flannelPart(host)).toBe(before)
    expect(await host.sh('ip route show table all; ip rule')).toBe(routes)
  })

  test('other ways: a pod of this host, the host itself, the outside, nobody', () => {
    expect(kinds(asJson(host, host, [here]))).toBe('route, link, neighbour, fdb, link')
    expect(kinds(asJson(host, host, [host.ip]))).toBe('route, link')
    expect(kinds(asJson(host, host, [host.podGateway]))).toBe('route, link')
    expect(kinds(asJson(host, host, ['192.0.2.1', '--from', here]))).toStartWith(
      'forwarding, route, masquerade, link',
    )
    expect(kinds(asJson(host, host, ['192.0.2.1', '--from', host.ip]))).toStartWith('route, link, neighbour')
    expect(run(host, host, ['10.244.77.1'])).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('no host has leased that subnet'),
    })
    expect(run(host, host, ['fd00::1'])).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('no route leads there, not even a default one'),
    })
  })

  const DEFAULT = 'ip route add default via 192.168.100.254'
  const breaks: readonly Break[] = [
    {
      what: 'the route',
      command: 'ip route del $PEER/24',
      missing: { kind: 'route', state: 'missing', object: /^\S+\/24 dev flannel\.1$/ },
      says: /missing: route .*; the packet would leave by default via 192\.168\.100\.254/,
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
      says: /flannel\.1 is down, and its routes went with that\n {2}→ ip link set flannel\.1 up/,
    },
    {
      what: 'the device',
      command: 'ip link del flannel.1',
      missing: { kind: 'link', state: 'missing' },
      says: /missing: link flannel\.<VNI> vxlan: there is no VXLAN device of flannel/,
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
      says: /missing: address 192\.168\.100\.1 dev eth0: flannel\.1 sends from it/,
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

  test('without a tunnel the way ends at the other host, as with host-gw and DirectRouting', async () => {
    await host.sh('ip route add 10.244.60.0/24 via 192.168.100.2 dev eth0 proto 104')
    const told = asJson(host, host, ['10.244.60.9'])
    await host.sh('ip route del 10.244.60.0/24')
    expect(kinds(told)).toBe('route, link, neighbour')
    expect(told).toMatchObject({ complete: true, missing: null })
    expect(told.hops.at(-1)?.object).toStartWith('192.168.100.2 dev eth0')
  })

  test('a running flanneld adds the lease, why it is refused, and what of it is missing', async () => {
    await using flanneld = await Flanneld.start(host, store, { args: ['--ip-masq'] })
    expect(asJson(host, host, [there]).heddle).toEqual({
      lease: `${base(there)}-24`,
      isOwn: false,
      publicIp: '192.168.100.2',
      lacking: [],
    })
    const refused = asJson(host, host, ['10.244.30.9'])
    expect(refused.missing).toMatchObject({ kind: 'route' })
    expect(refused.heddle?.refused).toContain('00:00:00:00:00:00')
    expect(asJson(host, host, ['10.244.77.9']).heddle).toEqual({
      lease: undefined,
      isOwn: false,
      lacking: [],
    } as never)
    expect(asJson(host, host, [host.podGateway]).heddle?.isOwn).toBe(true)
    // In the way of the reconciler, too.
    await host.sh('ip route replace 10.244.21.0/24 via 192.168.100.9 proto static')
    const told = await eventually('the route fails', () => {
      const { heddle, missing } = asJson(host, host, ['10.244.21.9'])
      return heddle !== null && heddle.lacking.length > 0 ? { heddle, missing } : undefined
    })
    expect(told.missing).toMatchObject({ kind: 'route', state: 'wrong' })
    expect(told.heddle.lacking[0]).toContain(
      'missing route 10.244.21.0/24 via 10.244.21.0 dev flannel.1 onlink: ',
    )
    await flanneld.end()
  })
})

describe('IPv6, made by hand', () => {
  let host: TestHost
  const folder = mkdtempSync(join(tmpdir(), 'heddle-explain-'))
  const place = { subnetFile: join(folder, 'subnet.env'), statusSocket: join(folder, 'no.sock') }
  const TO = 'fd00:10:5:3::7'
  const BUILD = `
    ip link add flannel-v6.1 mtu 1430 type vxlan id 1 local fd01::1 dev eth0 dstport 8472 nolearning
    ip link set flannel-v6.1 up; ip addr add fd00:10:5:1::/128 dev flannel-v6.1 nodad
    ip neigh add fd00:10:5:3:: lladdr 02:42:00:00:00:63 dev flannel-v6.1 nud permanent
    bridge fdb add 02:42:00:00:00:63 dev flannel-v6.1 dst fd01::3 self
    ip nexthop add id 1744830464 via fd00:10:5:3:: dev flannel-v6.1 onlink proto 104
    ip -6 route add fd00:10:5:3::/64 nhid 1744830464 proto 104`

  beforeAll(async () => {
    host = await kernel()
    await host.sh(`
      ip link add eth0 type veth peer name eth0-peer; ip link set eth0-peer up
      echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad
      ip addr add fd01::1/64 dev eth0 nodad; ip link set eth0 up
      echo 1 > /proc/sys/net/ipv6/conf/all/forwarding${BUILD}`)
    writeFileSync(
      place.subnetFile,
      'FLANNEL_IPV6_NETWORK=fd00:10:5::/48\nFLANNEL_IPV6_SUBNET=fd00:10:5:1::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=true\n',
    )
    // The links' link-local addresses and their routes come a little later.
    await eventually('the way is whole', () => (run(host, place, [TO]).status === 0 ? true : undefined))
  })
  afterAll(async () => {
    await host[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  test('hop by hop', () => {
    const told = asJson(host, place, [TO])
    expect(kinds(told)).toBe(TUNNEL)
    expect(told.hops[0]?.object).toMatch(
      /^fd00:10:5:3::\/64 nhid 1744830464 via fd00:10:5:3:: dev flannel-v6\.1 /,
    )
    expect(told.hops.at(-2)?.object).toMatch(/^eth0 veth up/)
  })

  test.each([
    ['ip -6 route del fd00:10:5:3::/64', 'route', 'missing', 'fd00:10:5:3::/64 dev flannel-v6.1'],
    ['ip neigh del fd00:10:5:3:: dev flannel-v6.1', 'neighbour', 'missing', 'fd00:10:5:3:: dev flannel-v6.1'],
    ['bridge fdb del 02:42:00:00:00:63 dev flannel-v6.1', 'fdb', 'missing', '02:42:00:00:00:63'],
    ['ip link set flannel-v6.1 down', 'link', 'wrong', 'flannel-v6.1 vxlan id 1'],
    ['ip link del flannel-v6.1', 'link', 'missing', 'flannel-v6.<VNI> vxlan'],
    [`ip -6 route add blackhole ${TO}`, 'route', 'wrong', `blackhole ${TO}/128`],
    [
      `ip -6 route add ${TO} via fd01::9 proto static`,
      'route',
      'wrong',
      `${TO}/128 via fd01::9 dev eth0 proto static`,
    ],
    [`ip -6 route add fd00:10:5:3::/80 via fd01::9`, 'route', 'wrong', 'fd00:10:5:3::/80 via fd01::9'],
    ['ip link set eth0 down', 'link', 'wrong', 'eth0 veth down'],
  ])('names the first that is missing: %s', async (command, kind, state, object) => {
    await host.sh(command)
    const told = asJson(host, place, [TO])
    await host.sh(`
      ip link del flannel-v6.1 2>/dev/null || true; ip -6 route flush proto static
      ip -6 route del blackhole ${TO} 2>/dev/null || true; ip -6 route del fd00:10:5:3::/80 2>/dev/null || true
      ip link set eth0 up; ip addr replace fd01::1/64 dev eth0 nodad${BUILD}`)
    expect(told.missing).toMatchObject({ kind, state })
    expect(told.missing?.object).toStartWith(object)
    expect(told.complete).toBe(false)
  })
})

test.each([
  [['10.1.2.300'], '"10.1.2.300" is no IPv4 or IPv6 address'],
  [['10.1.2.0/24'], 'is no IPv4 or IPv6 address'],
  [['10.1.2.3', '--from', 'x'], '--from "x" is no IPv4'],
  [['10.1.2.3', '--from', 'fd00::1'], 'want an address of the same family as 10.1.2.3'],
  [['10.1.2.3', '--', '--bad-flag'], 'bad-flag'],
  [[], 'is missing; see --help'],
])('%j is not understood', (args, sentence) => {
  const { status, stdout, stderr } = spawnSync(HEDDLE, ['explain', ...args], { encoding: 'utf8' })
  expect([status, stdout]).toEqual([2, ''])
  expect(stderr).toContain(sentence)
})
