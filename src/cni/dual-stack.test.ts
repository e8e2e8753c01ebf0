// Pods with addresses of both families, or of IPv6 alone: usable when ADD returns, as the stock bridge makes them, and
// given back whatever a call was killed at.
import { describe, expect, test } from 'bun:test'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import {
  added,
  cniNode,
  ipsOf,
  IPV6_ENV,
  reaches,
  stockBridge,
  stockPortmap,
  SUBNET_ENV,
} from '../../test/support/cni.ts'
import type { CniNode } from '../../test/support/cni.ts'
import type { TestHost } from '../../test/support/kernel.ts'
import { readSysctl, writeSysctl } from '../sys/sysctl.ts'

const DUAL = SUBNET_ENV + IPV6_ENV
const IPV6_ALONE = `${IPV6_ENV}FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n`

/** Another machine, on a link of the node's: what comes from there is forwarded to pods. */
async function elsewhere(node: CniNode): Promise<TestHost> {
  const other = await node.pod()
  await node.own.sh(
    `ip link add wire type veth peer name wire netns ${other.namespace.path}
     ip addr add 192.0.2.1/24 dev wire; ip addr add 2001:db8::1/64 dev wire nodad; ip link set wire up`,
  )
  await other.sh(
    `ip addr add 192.0.2.2/24 dev wire; ip addr add 2001:db8::2/64 dev wire nodad; ip link set wire up
     ip route add default via 192.0.2.1; ip route add default via 2001:db8::1`,
  )
  return other
}

describe('a pod with IPv6', () => {
  test('is reached from elsewhere as soon as ADD returns: nothing of it or of the bridge is tentative', async () => {
    await using node = await cniNode(DUAL)
    const [pod, other] = [await node.pod(), await elsewhere(node)]
    added(await node.call('ADD', pod))
    expect(await node.own.sh('ip -6 addr show dev cni0 tentative')).toBe('')
    expect(await node.own.sh('ip -6 addr show dev cni0')).toContain('inet6 fe80:')
    expect(await pod.sh('ip -6 addr show tentative')).toBe('')
    await other.sh('ping -n -c 1 -W 5 fc00::2')
    await other.sh('ping -n -c 1 -W 5 10.1.17.2')
  })

  test.each([
    ['both families', DUAL],
    ['IPv6 alone', IPV6_ALONE],
  ])('has what the stock bridge gives it: %s', async (_name, env) => {
    await using ours = await cniNode(env)
    await using theirs = await cniNode(env)
    const [pod, stockPod] = [await ours.pod(), await theirs.pod()]
    for (const one of [pod, stockPod]) writeSysctl('net/ipv6/conf/all/disable_ipv6', 1, one.namespace)
    const answer = added(await ours.call('ADD', pod))
    const config = readFileSync(ours.at('flannel', 'c1'), 'utf8')
    const stockConfig = config.replaceAll(ours.at(), theirs.at())
    const stockAnswer = JSON.parse(await stockBridge(theirs, stockPod, 'ADD', stockConfig)) as object
    // Newer ones leave an empty dns out.
    expect(unnamed(answer.json)).toEqual(unnamed({ dns: {}, ...stockAnswer }))
    expect(await viewOf(ours, pod)).toEqual(await viewOf(theirs, stockPod))
    // Each undoes the other's work.
    await stockBridge(ours, pod, 'DEL', config)
    expect([ours.given(), await ours.links()]).toEqual([[], ['cni0']])
    writeFileSync(ours.at('flannel', 'c1-eth0'), config)
    added(await ours.call('DEL', pod))
    expect(ours.states()).toEqual([])
  })

  test('keeps its addresses when its link is set down and up, and so does the bridge', async () => {
    await using node = await cniNode(DUAL)
    const pod = await node.pod()
    added(await node.call('ADD', pod))
    await pod.sh('ip link set eth0 down; ip link set eth0 up')
    await node.own.sh('ip link set cni0 down; ip link set cni0 up')
    for (const ip of ['10.1.17.1', 'fc00::1']) await reaches(pod, ip)
  })

  test('makes the host forward, which goes on to hear of its default route where the kernel did', async () => {
    await using node = await cniNode(DUAL)
    await elsewhere(node)
    await node.own.sh(
      'ip link add other type veth peer name rehto; ip link set other up; ip link set rehto up',
    )
    await node.own.sh('ip -6 route add default via 2001:db8::2 dev wire proto ra')
    added(await node.call('ADD', await node.pod()))
    const settings = ['all/forwarding', 'wire/accept_ra', 'other/accept_ra']
    expect(settings.map((name) => readSysctl(`net/ipv6/conf/${name}`, node.own.namespace))).toEqual([
      '1',
      '2',
      '1',
    ])
  })

  test('is refused with a sentence where the bridge can have none', async () => {
    await using node = await cniNode(DUAL)
    const pod = await node.pod()
    await node.own.sh('ip link add cni0 mtu 1000 type bridge')
    const { json } = await node.call('ADD', pod)
    expect(json).toMatchObject({
      msg: expect.stringContaining('failed to enable IPv6 on cni0'),
      details: expect.stringContaining('the kernel must have IPv6'),
    })
    expect([node.states(), node.given()]).toEqual([[], []])
  })

  test('has ports of the host by either family with the stock portmap behind it in the list', async () => {
    await using node = await cniNode(DUAL)
    const [pod, other] = [await node.pod(), await elsewhere(node)]
    const answer = added(await node.call('ADD', pod))
    const ports = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]
    await stockPortmap(node, pod, 'ADD', answer, ports)
    for (const [inPod, onHost] of [
      ['10.1.17.2', '192.0.2.1'],
      ['fc00::2', '2001:db8::1'],
    ] as const) {
      const server = createServer((socket) => socket.resume().end('here'))
      pod.namespace.run(() => server.listen({ host: inPod, port: 80 }))
      await once(server, 'listening')
      const url = `http://${onHost.includes(':') ? `[${onHost}]` : onHost}:8080/`
      expect(await other.sh(`curl -s --http0.9 -m 5 '${url}'`)).toBe('here')
      await new Promise((resolve) => server.close(resolve))
    }
    await stockPortmap(node, pod, 'DEL', answer, ports)
    added(await node.call('DEL', pod))
  })

  test('takes an address of each family that is asked for', async () => {
    await using node = await cniNode(DUAL)
    const pod = await node.pod()
    const config = { runtimeConfig: { ips: ['fc00::99/64', '10.1.17.99'] } }
    expect(ipsOf(added(await node.call('ADD', pod, { config })))).toEqual(['10.1.17.99/24', 'fc00::99/64'])
  })
})

test('weak point 55: the bridge address of an IPv6 subnet that this host had before goes where no pod hangs on the bridge', async () => {
  await using node = await cniNode(IPV6_ALONE)
  const [first, second] = [await node.pod(), await node.pod()]
  const gateways = async () =>
    (await node.own.sh('ip -6 -o addr show dev cni0 scope global')).match(/fc00:\S+/g) ?? []
  added(await node.call('ADD', first))
  writeFileSync(node.at('subnet.env'), IPV6_ALONE.replace('fc00::1/64', 'fc00:0:0:7::1/64'))
  added(await node.call('ADD', second, { id: 'c2' }))
  expect(await gateways()).toEqual(['fc00:0:0:7::1/64', 'fc00::1/64'])
  await reaches(first, 'fc00:0:0:7::2')
  for (const [pod, id] of [
    [first, 'c1'],
    [second, 'c2'],
  ] as const)
    added(await node.call('DEL', pod, { id }))
  writeFileSync(node.at('subnet.env'), IPV6_ALONE.replace('fc00::1/64', 'fc00:0:0:8::1/64'))
  added(await node.call('ADD', first))
  expect(await gateways()).toEqual(['fc00:0:0:8::1/64'])
  await reaches(first, 'fc00:0:0:8::1')
})

test('an ADD that is killed at any moment is undone by DEL, and the pod can be made', async () => {
  await using node = await cniNode(DUAL)
  const pod = await node.pod()
  for (const moment of ['flannel/c1-eth0', 'networks/cbr0/10.1.17.2', 'networks/cbr0/fc00::2', 'never']) {
    rmSync(node.at('networks'), { recursive: true, force: true })
    await node.killed('ADD', pod, moment)
    added(await node.call('DEL', pod))
    expect([node.states(), node.given(), (await node.links()).filter((name) => name !== 'cni0')]).toEqual([
      [],
      [],
      [],
    ])
    added(await node.call('ADD', pod))
    for (const ip of ['10.1.17.1', 'fc00::1']) await reaches(pod, ip)
    added(await node.call('DEL', pod))
  }
})

/** A result without what differs from run to run: MACs, names of veths, the pod's namespace. */
const unnamed = (result: unknown): unknown =>
  JSON.parse(
    JSON.stringify(result).replace(/"(?:[\da-f]{2}:){5}[\da-f]{2}"|"veth\w+"|"\/proc\/[^"]+"/g, '"…"'),
  )

/** What can be seen of a pod and its bridge. */
async function viewOf(node: CniNode, pod: TestHost) {
  const addresses = async (host: TestHost, link: string) => {
    const [shown] = await host.ipJson(`addr show dev ${link}`)
    const all = (shown?.['addr_info'] ?? []) as readonly Record<string, unknown>[]
    return all
      .filter((one) => one['scope'] !== 'link')
      .map((one) => `${String(one['local'])}/${String(one['prefixlen'])}`)
  }
  const routes = async (host: TestHost) =>
    (await host.sh('ip -4 route; ip -6 route'))
      .split('\n')
      .filter((line) => !/wire|^fe80|^multicast/.test(line))
  return {
    onBridge: await addresses(node.own, 'cni0'),
    inPod: await addresses(pod, 'eth0'),
    onHost: await routes(node.own),
    routes: await routes(pod),
    settings: ['disable_ipv6', 'accept_dad', 'accept_ra'].map((name) =>
      readSysctl(`net/ipv6/conf/eth0/${name}`, pod.namespace),
    ),
    host: ['net/ipv6/conf/all/forwarding', 'net/ipv6/conf/cni0/accept_ra'].map((name) =>
      readSysctl(name, node.own.namespace),
    ),
  }
}
