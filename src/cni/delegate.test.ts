// Delegates of other makers: executed from CNI_PATH, their errors passed on, their failures not forgotten.
import { describe, expect, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { added, cniNode, fakeDelegate, ipsOf, SUBNET_ENV } from '../../test/support/cni.ts'
import type { JsonObject } from './json.ts'

describe('another delegate', () => {
  test('is executed, with the config made for it', async () => {
    await using node = await cniNode()
    const fake = fakeDelegate(node)
    const { code, json } = await node.call('ADD', '/some/netns', fake.wish)
    expect({ code, json }).toEqual({ code: 0, json: { cniVersion: '1.0.0', ips: [] } })
    const state = readFileSync(node.at('flannel', 'c1'), 'utf8')
    expect(JSON.parse(state)).toMatchObject({ type: 'fake', answer: 42, mtu: 1450, name: 'cbr0' })
    expect((await node.call('DEL', '', fake.wish)).code).toBe(0)
    expect(fake.calls()).toEqual([`ADD c1 eth0 ${state}`, `DEL c1 eth0 ${state}`])
    expect(node.states()).toEqual([])
  })

  test('that fails is asked to take it back, and its error is passed on', async () => {
    await using node = await cniNode()
    const fake = fakeDelegate(node)
    fake.fails('ADD')
    const { code, json } = await node.call('ADD', '/some/netns', fake.wish)
    expect(code).toBe(1)
    expect(json).toEqual({ cniVersion: '1.0.0', code: 117, msg: 'no', details: 'today' })
    expect(fake.calls().map((line) => line.split(' ')[0])).toEqual(['ADD', 'DEL'])
    expect(node.states()).toEqual([])
  })

  test('weak point 52: that fails a DEL keeps its state, so that the next one can do better', async () => {
    await using node = await cniNode()
    const fake = fakeDelegate(node)
    await node.call('ADD', '/some/netns', fake.wish)
    fake.fails('DEL')
    expect((await node.call('DEL', '', fake.wish)).json).toMatchObject({ code: 117 })
    expect(node.states()).toEqual(['c1', 'c1-eth0'])
    fake.succeeds('DEL')
    expect((await node.call('DEL', '', fake.wish)).code).toBe(0)
    expect(node.states()).toEqual([])
  })

  test('that is nowhere is named, and so is what the built-in bridge has not got', async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    const env = { CNI_PATH: '/nowhere' }
    const refused = async (config: JsonObject) => (await node.call('ADD', pod, { config, env })).json
    expect(await refused({ delegate: { type: 'macvlan' } })).toMatchObject({
      code: 7,
      msg: 'failed to find plugin "macvlan" in path [/nowhere]',
    })
    writeFileSync(node.at('subnet.env'), SUBNET_ENV.replace('IPMASQ=true', 'IPMASQ=false'))
    expect(await refused({})).toMatchObject({
      code: 7,
      msg: 'failed to find plugin "bridge" in path [/nowhere]; the built-in bridge has no ipMasq',
      details: expect.stringContaining('--ip-masq'),
    })
    expect(await refused({ delegate: { type: 'flannel' } })).toMatchObject({ code: 7 })
    expect([node.states(), node.given()]).toEqual([[], []])
  })

  test('is the stock bridge where the built-in one is not enough', async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    const config = { delegate: { isDefaultGateway: true, promiscMode: true } }
    expect(ipsOf(added(await node.call('ADD', pod, { config })))).toEqual(['10.1.17.2/24'])
    expect(await node.own.sh('ip -d link show cni0')).toContain('promiscuity 1')
    expect((await node.call('DEL', pod)).stdout).toBe('')
    expect([node.states(), node.given()]).toEqual([[], []])
  })
})
