// What the built-in bridge waits for.
import { expect, test } from 'bun:test'
import { kernel } from '../../../test/support/kernel.ts'
import { thrown } from '../../../test/support/values.ts'
import { untilUp } from './bridge.ts'

test('a link is waited for until it carries packets, and not at all once it is gone', async () => {
  await using host = await kernel()
  await host.sh('ip link add va type veth peer name vb; ip link set va up')
  expect(host.link('va').operState).not.toBe(6)
  const up = host.sh('sleep 0.1; ip link set vb up')
  untilUp(host.netlink(), 'va', host.index('vb'))
  expect([host.link('va').operState, host.link('vb').operState]).toEqual([6, 6])
  await up
  await host.sh('ip link del va')
  expect(thrown(() => untilUp(host.netlink(), 'va'))).toMatchObject({
    cniCode: 11,
    message: 'link va is gone already',
  })
})
