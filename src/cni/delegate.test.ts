// Delegates of other makers: executed from CNI_PATH, their errors passed on, their failures not forgotten.
import { describe, expect, test } from 'bun:test'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { added, cniNode, ipsOf, SUBNET_ENV, type CniNode, type Wish } from '../../test/support/cni.ts'
import type { JsonObject } from './json.ts'

describe('another delegate', () => {
  /** A plugin that keeps what it is told, and fails as long as a file `fail-COMMAND` is there. */
  const fake = (node: CniNode): void => {
    mkdirSync(node.at('bin'))
    writeFileSync(
      node.at('bin', 'fake'),
      `#!/bin/sh
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $(cat)" >> ${node.at('calls')}
[ -e ${node.at('fail')}-$CNI_COMMAND ] && { echo '{"code":117,"msg":"no","details":"today"}'; exit 1; }
[ $CNI_COMMAND = ADD ] && echo '{"cniVersion":"1.0.0","ips":[]}'
exit 0
`,
      { mode: 0o755 },
    )
  }
  const wish = (node: CniNode): Wish => ({
    config: { delegate: { type: 'fake', answer: 42 } },
    env: { CNI_PATH: `/nowhere:${node.at('bin')}` },
  })
  const calls = (node: CniNode): string[] => readFileSync(node.at('calls'), 'utf8').trim().split('\n')

  test('is executed, with the config made for it', async () => {
    await using node = await cniNode()
    fake(node)
    const { code, json } = await node.call('ADD', '/some/netns', wish(node))
    expect({ code, json }).toEqual({ code: 0, json: { cniVersion: '1.0.0', ips: [] } })
    const state = readFileSync(node.at('flannel', 'c1'), 'utf8')
    expect(JSON.parse(state)).toMatchObject({ type: 'fake', answer: 42, mtu: 1450, name: 'cbr0' })
    expect((await node.call('DEL', '', wish(node))).code).toBe(0)
    expect(calls(node)).toEqual([`ADD c1 eth0 ${state}`, `DEL c1 eth0 ${state}`])
    expect(node.states()).toEqual([])
  })

  test('that fails is asked to take it back, and its error is passed on', async () => {
    await using node = await cniNode()
    fake(node)
    writeFileSync(node.at('fail-ADD'), '')
    const { code, json } = await node.call('ADD', '/some/netns', wish(node))
    expect(code).toBe(1)
    expect(json).toEqual({ cniVersion: '1.0.0', code: 117, msg: 'no', details: 'today' })
    expect(calls(node).map((line) => line.split(' ')[0])).toEqual(['ADD', 'DEL'])
    expect(node.states()).toEqual([])
  })

  test('that fails a DEL keeps its state, so that the next one can do better', async () => {
    await using node = await cniNode()
    fake(node)
    await node.call('ADD', '/some/netns', wish(node))
    writeFileSync(node.at('fail-DEL'), '')
    expect((await node.call('DEL', '', wish(node))).json).toMatchObject({ code: 117 })
    expect(node.states()).toEqual(['c1', 'c1-eth0'])
    rmSync(node.at('fail-DEL'))
    expect((await node.call('DEL', '', wish(node))).code).toBe(0)
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
