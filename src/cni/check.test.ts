// CHECK: what ADD made is there; each thing that is gone is named; delegates of other makers are asked.
import { describe, expect, test } from 'bun:test'
import { rmSync } from 'node:fs'
import { added, cniNode, IPV6_ENV, SUBNET_ENV, type CniNode } from '../../test/support/cni.ts'
import type { TestHost } from '../../test/support/kernel.ts'

const check = async (node: CniNode, pod: TestHost, prevResult: object, delegate?: object) =>
  (await node.call('CHECK', pod, { config: { prevResult, ...(delegate ? { delegate } : {}) } as never })).json

describe('weak point 54: CHECK', () => {
  test('finds nothing wrong with a pod as ADD left it, in each version that has it', async () => {
    await using node = await cniNode(SUBNET_ENV + IPV6_ENV)
    const pod = await node.pod()
    for (const cniVersion of ['0.4.0', '1.0.0', '1.1.0']) {
      const config = { cniVersion }
      const { json } = added(await node.call('ADD', pod, { config }))
      const answer = await node.call('CHECK', pod, { config: { cniVersion, prevResult: json as never } })
      expect(answer).toMatchObject({ code: 0, stdout: '', stderr: '' })
      added(await node.call('DEL', pod, { config }))
    }
    expect((await node.call('CHECK', pod, { config: { cniVersion: '0.3.1' } })).json).toMatchObject({
      code: 1,
      msg: 'config version does not allow CHECK',
    })
  })

  const inPod: readonly (readonly [string, string])[] = [
    ['ip addr del 10.1.17.2/24 dev eth0', 'eth0 has lost its address 10.1.17.2/24'],
    ['ip addr del fc00::2/64 dev eth0', 'eth0 has lost its address fc00::2/64'],
    ['ip route del 10.1.0.0/16', 'the pod has lost its route to 10.1.0.0/16'],
    ['ip -6 route del default', 'the pod has lost its route to ::/0 via fc00::1'],
    ['ip link set eth0 down', 'eth0 in the pod is down'],
    ['ip link set eth0 address 02:00:00:00:00:09', 'eth0 in the pod has the MAC 02:00:00:00:00:09, not '],
    ['ip link del eth0', 'eth0 in the pod is gone'],
  ]
  const onHost: readonly (readonly [string, string])[] = [
    ['ip link set $(ip -br link show type veth | cut -d@ -f1) nomaster', ' is not on cni0'],
    ['ip addr del 10.1.17.1/24 dev cni0', 'cni0 has lost its address 10.1.17.1/24'],
    ['ip addr del fc00::1/64 dev cni0', 'cni0 has lost its address fc00::1/64'],
    ['ip link del cni0', 'bridge cni0 is gone'],
  ]
  test.each([
    ['in the pod', inPod],
    ['on the host', onHost],
  ])('names what is not as it was %s', async (where, harms) => {
    await using node = await cniNode(SUBNET_ENV + IPV6_ENV)
    for (const [harm, message] of harms) {
      const pod = await node.pod()
      const { json } = added(await node.call('ADD', pod))
      await (where === 'in the pod' ? pod : node.own).sh(harm)
      expect(await check(node, pod, json)).toMatchObject({ code: 100, msg: expect.stringContaining(message) })
      added(await node.call('DEL', pod))
      // The next one has the same addresses.
      rmSync(node.at('networks'), { recursive: true })
    }
  })

  test('names an address that another one could be given', async () => {
    await using node = await cniNode(SUBNET_ENV + IPV6_ENV)
    const pod = await node.pod()
    const { json } = added(await node.call('ADD', pod))
    await node.own.sh(`rm ${node.at('networks', 'cbr0', 'fc00::2')}`)
    expect(await check(node, pod, json)).toMatchObject({ msg: 'fc00::2 is not reserved for container c1' })
  })

  test('knows no pod without state, and compares with nothing but a result', async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    expect(await check(node, pod, {})).toMatchObject({ code: 3, msg: 'no eth0 of container c1 is known' })
    added(await node.call('ADD', pod))
    expect((await node.call('CHECK', pod)).json).toMatchObject({
      code: 7,
      msg: 'required prevResult missing',
    })
    expect(await check(node, pod, { ips: [{ address: 'x' }] })).toMatchObject({ code: 6 })
  })

  test('is the stock bridge’s where that has the pod', async () => {
    await using node = await cniNode(SUBNET_ENV + IPV6_ENV)
    const pod = await node.pod()
    const delegate = { isDefaultGateway: true, promiscMode: true }
    const { json } = added(await node.call('ADD', pod, { config: { delegate } }))
    expect(await check(node, pod, json)).toEqual({})
    await pod.sh('ip addr del fc00::2/64 dev eth0')
    expect(await check(node, pod, json)).toMatchObject({ msg: expect.stringContaining('fc00::2') })
  })
})
