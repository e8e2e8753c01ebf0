// STATUS, VERSION, what isn't built yet, and a person who types `flannel`.
import { describe, expect, test } from 'bun:test'
import { renameSync } from 'node:fs'
import { cniNode } from '../../test/support/cni.ts'

describe('other commands', () => {
  test('STATUS says whether an ADD could succeed', async () => {
    await using node = await cniNode()
    const newest = { config: { cniVersion: '1.1.0' } }
    expect(await node.call('STATUS', '', newest)).toMatchObject({ code: 0, stdout: '' })
    renameSync(node.at('subnet.env'), node.at('elsewhere'))
    expect((await node.call('STATUS', '', newest)).json).toMatchObject({ code: 50 })
    expect((await node.call('STATUS', '')).json).toMatchObject({
      code: 1,
      msg: 'config version does not allow STATUS',
    })
  })

  test('that are not built yet say so', async () => {
    await using node = await cniNode()
    const pod = await node.pod()
    expect((await node.call('CHECK', pod)).json).toMatchObject({ code: 100, msg: 'CHECK is not built yet' })
    const newest = { config: { cniVersion: '1.1.0' } }
    expect((await node.call('GC', '', newest)).json).toMatchObject({ code: 100 })
    expect((await node.call('CHECK', pod, { config: { cniVersion: '0.3.1' } })).json).toMatchObject({
      code: 1,
    })
  })

  test('VERSION needs nothing, and none at all is answered to a person', async () => {
    await using node = await cniNode()
    expect((await node.call('VERSION', '')).json).toMatchObject({ cniVersion: '1.1.0' })
    const answer = await node.call('', '')
    expect(answer).toMatchObject({ code: 0, stdout: '' })
    expect(answer.stderr).toContain('CNI protocol versions supported: 0.1.0, 0.2.0')
    expect((await node.call('ADD', '', { env: { CNI_IFNAME: '' } })).json).toMatchObject({
      code: 4,
      msg: 'required env variables [CNI_NETNS,CNI_IFNAME] missing',
    })
  })
})
