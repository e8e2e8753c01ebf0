// `heddle explain`: the kernel's objects on a packet's way while no flanneld runs, and what one that runs adds.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Prefix } from '../src/model/prefix.ts'
import { flannelPart } from './support/data-plane.ts'
import { asJson, base, explainedNetwork, kinds, run, TUNNEL } from './support/explain.ts'
import { HEDDLE } from './support/executable.ts'
import { Flanneld } from './support/flanneld.ts'
import { eventually } from './support/process.ts'
import type { Host } from './support/segment.ts'
import type { TestStore } from './support/stores.ts'

setDefaultTimeout(60_000)

describe('on a host of a VXLAN network', () => {
  const stack = new AsyncDisposableStack()
  let host: Host
  let store: TestStore
  let there: string
  let here: string

  beforeAll(async () => {
    ;({ host, store, there, here } = await explainedNetwork(stack))
  })
  afterAll(() => stack.disposeAsync())

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
    expect(kinds(asJson(host, host, [there, '--from', here]))).toBe(`link, forwarding, ${TUNNEL}`)
    expect(await flannelPart(host)).toBe(before)
    expect(await host.sh('ip route show table all; ip rule')).toBe(routes)
  })

  test('other ways: a pod of this host, the host itself, the outside, nobody', () => {
    expect(kinds(asJson(host, host, [here]))).toBe('route, link, neighbour, fdb, link')
    expect(kinds(asJson(host, host, [host.ip]))).toBe('route, link')
    expect(kinds(asJson(host, host, [host.podGateway]))).toBe('route, link')
    expect(kinds(asJson(host, host, ['192.0.2.1', '--from', here]))).toStartWith(
      'link, forwarding, route, masquerade, link',
    )
    // Nothing masquerades what this host sends itself.
    expect(kinds(asJson(host, host, ['192.0.2.1', '--from', host.ip]))).toStartWith('route, link, neighbour')
    expect(kinds(asJson(host, host, ['192.0.2.1']))).toStartWith('route, link, neighbour')
    expect(run(host, host, ['10.244.77.1'])).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('no host has leased that subnet'),
    })
    expect(run(host, host, ['fd00::1'])).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('no route leads there, not even a default one'),
    })
  })

  test('without a tunnel the way ends at the other host, as with host-gw and DirectRouting', async () => {
    await host.sh('ip route add 10.244.60.0/24 via 192.168.100.2 dev eth0 proto 104')
    const told = asJson(host, host, ['10.244.60.9'])
    await host.sh('ip route del 10.244.60.0/24')
    expect(kinds(told)).toBe('route, link, neighbour')
    expect(told).toMatchObject({ complete: true, missing: null })
    expect(told.hops.at(-1)?.object).toStartWith('192.168.100.2 dev eth0')
  })

  test('what is not known is said to be unknown, with exit code 3', async () => {
    await host.sh('ip route add 10.244.61.0/24 via 192.168.100.2')
    const byHand = { told: asJson(host, host, ['10.244.61.9']), ...run(host, host, ['10.244.61.9']) }
    await host.sh('ip route del 10.244.61.0/24')
    expect(byHand).toMatchObject({ status: 3, told: { complete: false, missing: null } })
    expect(byHand.told.hops[0]).toMatchObject({ kind: 'route', state: 'unknown' })
    expect(byHand.stdout).toMatch(
      /nothing is missing as far as is known, but not all is: route 10\.244\.61\.0/,
    )
    // Without subnet.env.
    const nowhere = { subnetFile: '/nonexistent/subnet.env', statusSocket: '/nonexistent/sock' }
    expect(run(host, nowhere, ['10.244.78.9'])).toMatchObject({
      status: 3,
      stdout: expect.stringContaining(
        "whether the address is a pod's, and should be led elsewhere, is not known",
      ),
    })
    expect(run(host, nowhere, ['127.0.0.1']).status).toBe(0)
    expect(run(host, nowhere, [there]).status).toBe(0)
    // The kernel gives up asking in a few seconds.
    const asked = await eventually('it is asked for', async () => {
      await host.sh('ip route replace 192.0.2.7 dev eth0; ip neigh replace 192.0.2.7 dev eth0 nud incomplete')
      const last = asJson(host, host, ['192.0.2.7']).hops.at(-1)
      return last?.object.endsWith('INCOMPLETE') ? last : undefined
    })
    await host.sh('ip route del 192.0.2.7; ip neigh del 192.0.2.7 dev eth0 || true')
    expect(asked).toMatchObject({ state: 'unknown', object: '192.0.2.7 dev eth0 INCOMPLETE' })
  })

  test('of an address of this host that nobody has asked for, host-local tells whether a pod has it', async () => {
    const [other, given] = [here.replace(/\d+$/, '200'), here.replace(/\d+$/, '201')]
    const flags = `--subnet-file=${host.subnetFile} --status-socket=${host.statusSocket} --config-file=`
    const explained = (ip: string, networks: string) =>
      host.sh(`unshare -m sh -ec 'mount -t tmpfs none /var/lib; mkdir -p /var/lib/cni/networks/cbr0
        cd /var/lib/cni/networks/cbr0; ${networks}; ${HEDDLE} explain ${ip} -- ${flags} || echo exit $?'`)
    expect(await explained(other, 'true')).toEndWith(`has no address of ${base(here)}/24\nexit 3\n`)
    const networks = `echo x > ${given}; echo 10.9.9.9 > last_reserved_ip.0`
    const said = await explained(other, networks)
    expect(said).toContain('no pod of this host has it: host-local has given out 1 of')
    expect(said).toContain('exit 1')
    expect(await explained(given, networks)).toContain('given to a pod; not asked for yet')
  })

  test('a packet comes from this host or a pod, and goes to one', () => {
    for (const [to, from, why] of [
      [there, '8.8.8.8', '--from 8.8.8.8: want an address of this host or of a pod'],
      [there, there, 'a packet to itself leaves no pod'],
      ['0.0.0.0', undefined, "is nobody's address"],
      ['255.255.255.255', undefined, "is no single host's address"],
      ['ff02::1', undefined, "is no single host's address"],
      [`::ffff:${there}`, undefined, `ask for ${there}`],
    ] as const) {
      const { status, stderr } = run(host, host, [to, ...(from === undefined ? [] : ['--from', from])])
      expect([status, stderr]).toEqual([2, expect.stringContaining(why)])
    }
  })

  test('a running flanneld adds the lease, why it is refused, and what of it is missing', async () => {
    await using flanneld = await Flanneld.start(host, store, { args: ['--ip-masq'] })
    expect(asJson(host, host, [there]).heddle).toEqual({
      lease: `${base(there)}-24`,
      isOwn: false,
      subnet: `${base(there)}/24` as Prefix,
      publicIp: '192.168.100.2',
      lacking: [],
    })
    const refused = asJson(host, host, ['10.244.30.9'])
    expect(refused.missing).toMatchObject({ kind: 'route' })
    expect(refused.heddle?.refused).toContain('00:00:00:00:00:00')
    expect(refused.missing?.note).toMatch(/^flanneld refused lease 10\.244\.30\.0-24: /)
    const outside = run(host, host, ['10.245.9.3'])
    expect(outside.status).toBe(1)
    expect(outside.stdout).toMatch(
      /missing: route 10\.245\.9\.0\/24: .* lies outside .*would leave by default/,
    )
    const unleased = asJson(host, host, ['10.244.77.9'])
    expect(unleased.heddle).toEqual({ lease: undefined, isOwn: false, lacking: [] } as never)
    expect(unleased.missing).toMatchObject({ kind: 'lease', object: '10.244.77.0/24' })
    expect(unleased.missing?.advice).toBeUndefined()
    const said = run(host, host, ['10.244.77.9'])
    expect(said.status).toBe(1)
    expect(said.stdout).toContain(
      'no host has leased that subnet, so no pod has the address; the packet would',
    )
    expect(said.stdout).not.toMatch(/knows no lease|put/)
    await host.sh('ip route add 10.244.77.0/24 via 192.168.100.2')
    const byHand = asJson(host, host, ['10.244.77.9'])
    await host.sh('ip route del 10.244.77.0/24')
    expect(byHand.missing).toMatchObject({ kind: 'route', state: 'wrong' })
    expect(byHand.missing?.note).toEndWith('(proto boot), and no host has leased that subnet')
    expect(run(host, host, ['192.0.2.1']).stdout).not.toContain('knows no lease')
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
