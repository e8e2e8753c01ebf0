// VERSION, and a person who types `flannel`.
import { describe, expect, test } from 'bun:test'
import { cniNode } from '../../test/support/cni.ts'

describe('other commands', () => {
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
