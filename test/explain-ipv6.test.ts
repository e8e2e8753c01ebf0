// `heddle explain` of IPv6, and of words that it doesn't understand.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HEDDLE } from './support/executable.ts'
import { asJson, kinds, run, TUNNEL } from './support/explain.ts'
import { kernel, type TestHost } from './support/kernel.ts'
import { eventually } from './support/process.ts'

setDefaultTimeout(60_000)

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
