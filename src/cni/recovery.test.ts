// What the plugin makes of namespaces that are gone, state that is lost or upstream's, and a subnet that changed.
import { describe, expect, test } from 'bun:test'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { added, cniNode, ipsOf, reaches, stockBridge, SUBNET_ENV } from '../../test/support/cni.ts'
import { kernel } from '../../test/support/kernel.ts'

describe('namespaces', () => {
  test('of the host itself are refused, unless the runtime insists', async () => {
    await using node = await cniNode()
    expect((await node.call('ADD', node.own)).json).toMatchObject({ code: 8 })
    expect((await node.call('DEL', node.own)).json).toMatchObject({ code: 8 })
    const env = { CNI_NETNS_OVERRIDE: '1' }
    added(await node.call('ADD', node.own, { env }))
    expect((await node.call('DEL', node.own, { env })).code).toBe(0)
    expect(await node.links()).toEqual(['cni0'])
  })

  test('that are none are refused by ADD', async () => {
    await using node = await cniNode()
    expect((await node.call('ADD', '/nowhere')).json).toMatchObject({ code: 8 })
    expect((await node.call('ADD', node.at('subnet.env'))).code).toBe(1)
    expect([node.states(), node.given()]).toEqual([[], []])
  })

  test.each(['', '/nowhere', 'a file'])('that are gone (%p) are fine for DEL', async (netns) => {
    await using node = await cniNode()
    {
      await using pod = await kernel()
      added(await node.call('ADD', pod))
    }
    expect((await node.call('DEL', netns === 'a file' ? node.at('subnet.env') : netns)).stdout).toBe('')
    expect([node.states(), node.given()]).toEqual([[], []])
  })
})

describe('state', () => {
  test('that is lost or broken costs no address', async () => {
    await using node = await cniNode()
    for (const spoil of [
      () => rmSync(node.at('flannel'), { recursive: true }),
      () => writeFileSync(node.at('flannel', 'c1-eth0'), '{'),
    ]) {
      await using pod = await kernel()
      added(await node.call('ADD', pod))
      spoil()
      expect(await node.call('DEL', '')).toMatchObject({ code: 0, stdout: '' })
      expect(node.given()).toEqual([])
      expect(node.states()).toEqual([])
    }
  })

  test("of upstream's plugin is taken over, and ours by it", async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    const state = node.at('flannel', 'c1')
    added(await node.call('ADD', pod))
    const config = readFileSync(state, 'utf8')
    await stockBridge(node, pod, 'DEL', config)
    rmSync(state)
    expect(node.given()).toEqual([])
    expect(await node.links()).toEqual(['cni0'])

    rmSync(node.at('flannel'), { recursive: true })
    mkdirSync(node.at('flannel'))
    writeFileSync(state, config)
    await stockBridge(node, pod, 'ADD', config)
    await reaches(pod, '10.1.17.1')
    expect(node.given()).toEqual(['10.1.17.3'])
    expect((await node.call('DEL', pod)).stdout).toBe('')
    expect([node.given(), node.states(), await node.links()]).toEqual([[], [], ['cni0']])
  })
})

describe('weak point 55: the bridge address of a subnet that this host had before', () => {
  const moved = SUBNET_ENV.replace('10.1.17.1', '10.1.18.1')

  test('goes where no pod hangs on the bridge', async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    added(await node.call('ADD', pod))
    await node.call('DEL', pod)
    writeFileSync(node.at('subnet.env'), moved)
    expect(ipsOf(added(await node.call('ADD', pod)))).toEqual(['10.1.18.2/24'])
    await reaches(pod, '10.1.18.1')
    expect(await node.own.sh('ip -4 addr show cni0')).not.toContain('10.1.17.1')
  })

  test('stays where one does, and the answer says what to do', async () => {
    await using node = await cniNode()
    const [before, after] = [await node.pod(), await node.pod()]
    added(await node.call('ADD', before))
    writeFileSync(node.at('subnet.env'), moved)
    const { json } = await node.call('ADD', after, { id: 'c2' })
    expect(json['msg']).toBe(
      'failed to set bridge addr: "cni0" already has an IP address different from 10.1.18.1/24',
    )
    expect(json['details']).toContain('ip addr del 10.1.17.1/24 dev cni0')
    await reaches(before, '10.1.17.1')
    expect(node.given()).toEqual(['10.1.17.2'])
    const force = { delegate: { isDefaultGateway: true, forceAddress: true } }
    added(await node.call('ADD', after, { id: 'c2', config: force }))
    await reaches(after, '10.1.18.1')
  })
})
