// What the built-in bridge waits for.
import { expect, test } from 'bun:test'
import { kernel } from '../../../test/support/kernel.ts'
import { thrown } from '../../../test/support/values.ts'
import { untilUp } from './bridge.ts'

test('a link is waited for until it carries packets, and not at all once it is gone', async () => {
  await using host = await kernel()
  await host.sh('ip link add a type veth peer name b; ip link set a up')
  expect(host.link('a').operState).not.toBe(6)
  const up = host.sh('sleep 0.1; ip link set b up')
  untilUp(host.netlink(), 'a', host.index('b'))
  expect([host.link('a').operState, host.link('b').operState]).toEqual([6, 6])
  await up
  await host.sh('ip link del a')
  expect(thrown(() => untilUp(host.netlink(), 'a'))).toMatchObject({
    cniCode: 11,
    message: 'link a is gone already',
  })
})
