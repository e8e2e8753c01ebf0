// ADD and DEL of pods in real namespaces, and what a failed ADD leaves behind: nothing.
import { describe, expect, test } from 'bun:test'
import { readFileSync, rmSync } from 'node:fs'
import { added, cniNode, ipsOf, IPV6_ENV, reaches, SUBNET_ENV, type CniNode } from '../../test/support/cni.ts'
import { kernel, type TestHost } from '../../test/support/kernel.ts'
import type { JsonObject } from './json.ts'

describe('ADD and DEL', () => {
  test.each([
    ['P-1 IPv4', SUBNET_ENV, ['10.1.0.0/16'], ['10.1.17.0/24'], ['10.1.17.2/24']],
    [
      'P-2 two networks',
      SUBNET_ENV.replace('10.1.0.0/16', '10.1.0.0/16,192.168.0.0/16'),
      ['10.1.0.0/16', '192.168.0.0/16'],
      ['10.1.17.0/24'],
      ['10.1.17.2/24'],
    ],
    [
      'P-3 IPv6',
      `${IPV6_ENV}FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n`,
      ['fc00::/48'],
      ['fc00::/64'],
      ['fc00::2/64'],
    ],
    [
      'P-4 dual stack',
      SUBNET_ENV + IPV6_ENV,
      ['10.1.0.0/16', 'fc00::/48'],
      ['10.1.17.0/24', 'fc00::/64'],
      ['10.1.17.2/24', 'fc00::2/64'],
    ],
  ])('%s', async (_name, env, networks, subnets, addresses) => {
    await using node = await cniNode(env)
    await using pod = await kernel()
    const answer = added(await node.call('ADD', pod))
    expect(ipsOf(answer)).toEqual(addresses)
    expect(answer.stderr).toBe('')
    const { conf } = node
    expect(JSON.parse(readFileSync(node.at('flannel', 'c1'), 'utf8'))).toEqual({
      cniVersion: '1.0.0',
      hairpinMode: true,
      ipMasq: false,
      ipam: {
        ...(conf['ipam'] as JsonObject),
        ranges: subnets.map((subnet) => [{ subnet }]),
        routes: networks.map((dst) => ({ dst })),
        type: 'host-local',
      },
      isDefaultGateway: true,
      isGateway: true,
      mtu: 1450,
      name: 'cbr0',
      type: 'bridge',
    })
    for (const address of addresses) {
      const ip = address.split('/')[0] ?? ''
      await reaches(node.own, ip)
      await reaches(pod, ip.replace(/2$/, '1'))
    }
    expect(await node.call('DEL', pod)).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect([node.states(), node.given(), await node.links()]).toEqual([[], [], ['cni0']])
    expect(await node.call('DEL', pod)).toMatchObject({ code: 0, stdout: '', stderr: '' })
  })

  test('give a pod what the stock bridge gives', async () => {
    await using node = await cniNode()
    const [a, b] = [await node.pod(), await node.pod()]
    const answer = added(await node.call('ADD', a, { id: 'a' }))
    added(await node.call('ADD', b, { id: 'b' }))
    await reaches(a, '10.1.17.3')
    expect(await a.sh('ip -4 route')).toBe(
      'default via 10.1.17.1 dev eth0 \n10.1.0.0/16 via 10.1.17.1 dev eth0 \n10.1.17.0/24 dev eth0 proto kernel scope link src 10.1.17.2 \n',
    )
    const { interfaces } = answer.json as { interfaces: { name: string; mac: string; sandbox?: string }[] }
    const [bridge, onHost, inPod] = interfaces
    expect(bridge).toEqual({ name: 'cni0', mac: node.own.link('cni0').mac as string })
    expect(onHost?.name).toMatch(/^veth[0-9a-f]{8}$/)
    expect(inPod).toEqual({ name: 'eth0', mac: a.link('eth0').mac as string, sandbox: a.namespace.path })
    const port = node.own.link(onHost?.name ?? '')
    expect(port).toMatchObject({ master: node.own.index('cni0'), mtuBytes: 1450, up: true })
    expect(await node.own.sh(`bridge -d link show dev ${port.name}`)).toContain('hairpin on')
    expect([a.link('eth0').mtuBytes, node.own.link('cni0').mtuBytes]).toEqual([1450, 1450])
    expect(await node.own.sh('cat /proc/sys/net/ipv4/ip_forward')).toBe('1\n')
    expect(await a.sh('cat /proc/sys/net/ipv4/conf/eth0/arp_notify')).toBe('1\n')
    // The bridge keeps its MAC when a port with a lower one joins.
    expect(bridge?.mac).toBe(node.own.link('cni0').mac as string)
  })

  test('of sixteen pods at once give each an address of its own', async () => {
    await using node = await cniNode()
    const pods = await Promise.all(Array.from({ length: 16 }, () => node.pod()))
    const answers = await Promise.all(pods.map((pod, i) => node.call('ADD', pod, { id: `c${i}` })))
    const addresses = answers.flatMap((answer) => ipsOf(added(answer)))
    expect(new Set(addresses).size).toBe(16)
    await Promise.all(pods.map((pod) => reaches(pod, '10.1.17.1')))
    const ends = await Promise.all(pods.map((pod, i) => node.call('DEL', pod, { id: `c${i}` })))
    expect(ends.map(({ code }) => code)).toEqual(ends.map(() => 0))
    expect([node.states(), node.given(), await node.links()]).toEqual([[], [], ['cni0']])
  })

  test('weak point 53: of two interfaces of one container know them apart', async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    added(await node.call('ADD', pod))
    added(await node.call('ADD', pod, { ifname: 'net1', config: { delegate: { bridge: 'br1' } } }))
    expect(node.given()).toEqual(['10.1.17.2', '10.1.17.3'])
    expect((await node.call('DEL', pod, { ifname: 'net1' })).code).toBe(0)
    expect((await node.call('DEL', pod, { ifname: 'net1' })).code).toBe(0)
    expect(node.given()).toEqual(['10.1.17.2'])
    await reaches(pod, '10.1.17.1')
    expect((await node.call('DEL', pod)).code).toBe(0)
    expect([node.states(), node.given()]).toEqual([[], []])
    expect((await pod.ipJson('link')).map((link) => link['ifname'])).toEqual(['lo'])
  })

  test('take an address and a MAC that are asked for', async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    const env = { CNI_ARGS: 'IgnoreUnknown=1;IP=10.1.17.99;MAC=02:00:00:00:00:07' }
    expect(ipsOf(added(await node.call('ADD', pod, { env })))).toEqual(['10.1.17.99/24'])
    expect(pod.link('eth0').mac as string).toBe('02:00:00:00:00:07')
  })

  test('answer in the version that the config asks for', async () => {
    await using node = await cniNode()
    const [old, newest] = [await node.pod(), await node.pod()]
    const first = added(await node.call('ADD', old, { id: 'a', config: { cniVersion: '0.2.0' } }))
    expect(first.json).toMatchObject({ cniVersion: '0.2.0', ip4: { ip: '10.1.17.2/24' } })
    const second = added(await node.call('ADD', newest, { id: 'b', config: { cniVersion: '1.1.0' } }))
    expect(second.json).toMatchObject({ cniVersion: '1.1.0', ips: [{ address: '10.1.17.3/24' }] })
  })
})

describe('weak point 55: a failed ADD leaves nothing behind', () => {
  const nothing = async (node: CniNode, pod: TestHost, links: string[] = []) => {
    expect([node.states(), node.given(), await node.links()]).toEqual([[], [], links])
    expect((await pod.ipJson('link')).map((link) => link['ifname'])).toEqual(['lo'])
  }

  test('without subnet.env, which may come', async () => {
    await using node = await cniNode()
    rmSync(node.at('subnet.env'))
    const pod = await node.pod()
    expect(await node.call('ADD', pod)).toMatchObject({
      code: 1,
      json: { code: 11, cniVersion: '1.0.0', details: expect.stringContaining('flanneld writes') },
    })
    await nothing(node, pod)
  })

  test('where the bridge is no bridge', async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    await node.own.sh('ip link add cni0 type veth peer name other')
    expect((await node.call('ADD', pod)).json['msg']).toBe('"cni0" already exists but is not a bridge')
    await nothing(node, pod, ['cni0', 'other'].sort().reverse())
  })

  test('where the kernel refuses a route', async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    const ipam = { ...(node.conf['ipam'] as JsonObject), routes: [{ dst: '10.9.0.0/16', gw: '192.0.2.1' }] }
    const { json } = await node.call('ADD', pod, { config: { ipam } })
    expect(json).toMatchObject({ code: 999, msg: expect.stringContaining('route 10.9.0.0/16') })
    await nothing(node, pod, ['cni0'])
  })

  test('where the addresses have run out', async () => {
    await using node = await cniNode(SUBNET_ENV.replace('10.1.17.1/24', '10.1.17.1/30'))
    const [one, two] = [await node.pod(), await node.pod()]
    added(await node.call('ADD', one, { id: 'one' }))
    expect((await node.call('ADD', two, { id: 'two' })).json['msg']).toContain('no IP addresses available')
    expect(node.states()).toEqual(['one', 'one-eth0'])
    expect(await node.links()).toHaveLength(2)
  })

  test('where the pod has such an interface already, which stays', async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    await pod.sh('ip link add eth0 type veth peer name x')
    const { json } = await node.call('ADD', pod)
    expect(json['msg']).toBe('container veth name provided (eth0) already exists')
    expect([node.states(), node.given()]).toEqual([[], []])
    expect(pod.link('eth0').type).toBe('veth')
  })

  test('and a second ADD of the same pod leaves the first as it is', async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    added(await node.call('ADD', pod))
    expect((await node.call('ADD', pod)).json['msg']).toContain('duplicate allocation is not allowed')
    await reaches(pod, '10.1.17.1')
    expect((await node.call('DEL', pod)).code).toBe(0)
    await nothing(node, pod, ['cni0'])
  })
})
