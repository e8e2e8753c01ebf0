// GC: what attachments that the runtime doesn't know any more left behind goes, and nothing else.
import { describe, expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { added, cniNode, fakeDelegate, IPV6_ENV, reaches, SUBNET_ENV } from '../../test/support/cni.ts'
import type { CniNode } from '../../test/support/cni.ts'
import { VALID_ATTACHMENTS } from './attachments.ts'
import type { JsonObject, JsonValue } from './json.ts'

const collect = (node: CniNode, valid: JsonValue | undefined, config: JsonObject = {}, env = {}) =>
  node.call('GC', '', {
    config: {
      cniVersion: '1.1.0',
      ...(valid === undefined ? {} : { [VALID_ATTACHMENTS]: valid }),
      ...config,
    },
    env: { CNI_CONTAINERID: '', CNI_IFNAME: '', CNI_NETNS: '', ...env },
  })
const attachment = (containerID: string, ifname = 'eth0') => ({ containerID, ifname })

describe('weak point 54: GC', () => {
  test('frees the addresses of both families and the state of pods that are gone, and leaves the others', async () => {
    await using node = await cniNode(SUBNET_ENV + IPV6_ENV)
    const [kept, gone] = [await node.pod(), await node.pod()]
    added(await node.call('ADD', kept, { id: 'kept' }))
    added(await node.call('ADD', gone, { id: 'gone' }))
    added(
      await node.call('ADD', kept, { id: 'kept', ifname: 'net1', config: { delegate: { bridge: 'br1' } } }),
    )
    expect(await collect(node, [attachment('kept'), attachment('kept', 'net1')])).toMatchObject({
      code: 0,
      stdout: '',
      stderr: '',
    })
    expect(node.states()).toEqual(['kept', 'kept-eth0', 'kept-net1'])
    expect(node.given()).toEqual(['10.1.17.2', '10.1.17.4', 'fc00::2', 'fc00::4'])
    await reaches(kept, 'fc00::1')
    added(await collect(node, [attachment('kept')]))
    expect([node.states(), node.given()]).toEqual([
      ['kept', 'kept-eth0'],
      ['10.1.17.2', 'fc00::2'],
    ])
    added(await collect(node, []))
    expect([node.states(), node.given()]).toEqual([[], []])
  })

  test('frees addresses whose state is lost, and state that upstream’s plugin left', async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    added(await node.call('ADD', pod, { id: 'lost' }))
    const state = readFileSync(node.at('flannel', 'lost'), 'utf8')
    rmSync(node.at('flannel'), { recursive: true })
    mkdirSync(node.at('flannel'))
    writeFileSync(node.at('flannel', 'upstreams'), state)
    writeFileSync(node.at('flannel', 'there'), state)
    const { pid } = spawnSync('true')
    writeFileSync(node.at('flannel', `torn-eth0.${pid}.tmp`), state)
    writeFileSync(node.at('flannel', `being-eth0.${process.pid}.tmp`), state)
    added(await collect(node, [attachment('there')]))
    expect([node.states(), node.given()]).toEqual([[`being-eth0.${process.pid}.tmp`, 'there'], []])
  })

  test('leaves what is of another network, or can’t be read', async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    added(await node.call('ADD', pod, { id: 'a', config: { name: 'other' } }))
    writeFileSync(node.at('flannel', 'b-eth0'), '{')
    added(await collect(node, []))
    expect(node.states()).toEqual(['a', 'a-eth0', 'b-eth0'])
    await reaches(pod, '10.1.17.1')
  })

  test.each([[undefined], [null], [{}], [['c1']], [[{ containerID: 'c1' }]]])(
    'takes nothing for garbage where the list of attachments is %j',
    async (valid) => {
      await using node = await cniNode()
      added(await node.call('ADD', await node.pod()))
      expect((await collect(node, valid)).json).toMatchObject({ code: 7 })
      expect([node.states(), node.given()]).toEqual([['c1', 'c1-eth0'], ['10.1.17.2']])
    },
  )

  test('has another delegate undo what is gone, keeps what that can’t, and asks it for more', async () => {
    await using node = await cniNode()
    const fake = fakeDelegate(node)
    for (const id of ['a', 'b', 'c']) await node.call('ADD', '/some/netns', { id, ...fake.wish })
    const states = ['a', 'a-eth0', 'b', 'b-eth0', 'c', 'c-eth0']
    expect(node.states()).toEqual(states)
    fake.fails('DEL')
    const { config, env } = fake.wish
    const valid = [attachment('b')]
    expect((await collect(node, valid, config, env)).json).toMatchObject({ code: 117 })
    expect(node.states()).toEqual(states)
    fake.succeeds('DEL')
    added(await collect(node, valid, config, env))
    expect(node.states()).toEqual(['b', 'b-eth0'])
    const calls = fake.calls().slice(3)
    expect(calls.map((line) => line.split(' ').slice(0, 3).join(' '))).toEqual([
      'DEL a eth0',
      'DEL c eth0',
      'GC  ',
      'DEL a eth0',
      'DEL c eth0',
      'GC  ',
    ])
    expect(calls.at(-1)).toContain(`"${VALID_ATTACHMENTS}":[{"containerID":"b","ifname":"eth0"}]`)
  })

  test('knows a container by its whole name, dashes too', async () => {
    await using node = await cniNode()
    const fake = fakeDelegate(node)
    const { config, env } = fake.wish
    await node.call('ADD', '/some/netns', { id: 'pod-a', ...fake.wish })
    await node.call('ADD', '/some/netns', { id: 'pod-a', ifname: 'net1', ...fake.wish })
    await node.call('DEL', '/some/netns', { id: 'pod-a', ...fake.wish })
    const state = readFileSync(node.at('flannel', 'pod-a-net1'))
    writeFileSync(node.at('flannel', 'pod-b'), state)
    writeFileSync(node.at('flannel', 'pod-sandbox-c'), state)
    writeFileSync(node.at('flannel', `pod-d-eth0.${process.pid}.tmp`), state)
    const before = fake.calls().length
    added(await collect(node, [], config, env))
    const calls = fake.calls().slice(before)
    expect(calls.map((line) => line.split(' ').slice(0, 3).join(' '))).toEqual([
      'DEL pod-a net1',
      'DEL pod-a-net1 eth0',
      'DEL pod b',
      'DEL pod-b eth0',
      'DEL pod-sandbox c',
      'DEL pod-sandbox-c eth0',
      'GC  ',
    ])
    expect(node.states()).toEqual([`pod-d-eth0.${process.pid}.tmp`])
  })

  test('bears a delegate that knows no GC', async () => {
    await using node = await cniNode()
    const config = { delegate: { isDefaultGateway: true, promiscMode: true } }
    added(await node.call('ADD', await node.pod(), { config }))
    added(await collect(node, [], config))
    expect([node.states(), node.given()]).toEqual([[], []])
  })
})
