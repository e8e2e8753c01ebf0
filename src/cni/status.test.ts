// STATUS: whether an ADD could succeed: by subnet.env, the delegate, and heddle's flanneld.
import { describe, expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { cniNode, fakeDelegate, type CniNode, type Wish } from '../../test/support/cni.ts'
import { answering } from '../../test/support/readiness.ts'

const status = (node: CniNode, { config, env }: Wish = {}) =>
  node.call('STATUS', '', {
    config: { cniVersion: '1.1.0', ...config },
    env: { CNI_CONTAINERID: '', ...env },
  })

describe('weak point 54: STATUS', () => {
  test('is well with subnet.env, and not without', async () => {
    await using node = await cniNode()
    expect(await status(node)).toMatchObject({ code: 0, stdout: '', stderr: '' })
    renameSync(node.at('subnet.env'), node.at('elsewhere'))
    expect((await status(node)).json).toMatchObject({ code: 50, msg: expect.stringContaining('subnet.env') })
    writeFileSync(node.at('subnet.env'), 'FLANNEL_MTU=none')
    expect((await status(node)).json).toMatchObject({ code: 50, msg: expect.stringContaining('is missing') })
    expect((await node.call('STATUS', '')).json).toMatchObject({
      code: 1,
      msg: 'config version does not allow STATUS',
    })
  })

  test('is not well without the delegate, nor where that says so', async () => {
    await using node = await cniNode()
    const fake = fakeDelegate(node)
    const nowhere = { ...fake.wish, env: { CNI_PATH: '/nowhere' } }
    expect((await status(node, nowhere)).json).toMatchObject({
      code: 50,
      msg: 'failed to find plugin "fake" in path [/nowhere]',
    })
    expect((await status(node, fake.wish)).code).toBe(0)
    fake.fails('STATUS')
    expect((await status(node, fake.wish)).json).toMatchObject({ code: 50, msg: 'no', details: 'today' })
    const stock = { delegate: { promiscMode: true } }
    expect((await status(node, { config: stock })).code).toBe(0)
  })

  test("is not well while heddle's flanneld isn't ready, unless the store alone is away", async () => {
    await using node = await cniNode()
    const socket = node.at('flanneld.sock')
    const checks = [
      { name: 'store', failure: 'the leases are lost since 300 s' as string | undefined },
      { name: 'peers', failure: undefined as string | undefined },
    ]
    using _ = answering(socket, () => checks)
    expect((await status(node)).code).toBe(0)
    checks[1] = { name: 'peers', failure: 'programming 7 peers' }
    expect((await status(node)).json).toMatchObject({
      code: 50,
      msg: 'flanneld is not ready: peers: programming 7 peers',
    })
  })

  test("is not well where heddle's flanneld was killed", async () => {
    await using node = await cniNode()
    const socket = node.at('flanneld.sock')
    const killed = `require('net').createServer().listen('${socket}', () => process.kill(process.pid, 'SIGKILL'))`
    expect(spawnSync(process.execPath, ['-e', killed]).signal).toBe('SIGKILL')
    expect((await status(node)).json).toMatchObject({
      code: 50,
      msg: expect.stringContaining('flanneld does not answer at'),
    })
    rmSync(socket)
    expect((await status(node)).code).toBe(0)
  })
})
