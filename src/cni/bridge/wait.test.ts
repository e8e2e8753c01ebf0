// What an ADD waits for, and for how long.
import { expect, test } from 'bun:test'
import { kernel } from '../../../test/support/kernel.ts'
import { thrown } from '../../../test/support/values.ts'
import { untilSettled, untilUp } from './wait.ts'

test('a link is waited for until it carries packets, and not at all once it is gone', async () => {
  await using host = await kernel()
  await host.sh('ip link add va type veth peer name vb; ip link set va up')
  expect(host.link('va').operState).not.toBe(6)
  const up = host.sh('sleep 0.1; ip link set vb up')
  expect(untilUp(host.netlink(), 'va')).toBe(true)
  expect(host.link('va').operState).toBe(6)
  await up
  await host.sh('ip link del va')
  expect(thrown(() => untilUp(host.netlink(), 'va'))).toMatchObject({
    cniCode: 11,
    message: 'link va is gone already',
  })
})

test('addresses are waited for until the kernel has asked whether another has them', async () => {
  await using host = await kernel()
  await host.sh(
    'ip link add va type veth peer name vb; ip link set vb up; ip link set va up; ip addr add fd00::1/64 dev va',
  )
  const index = host.index('va')
  expect(await host.sh('ip -6 addr show dev va tentative')).toContain('fd00::1')
  expect(untilSettled(host.netlink(), index)).toBe(true)
  expect(await host.sh('ip -6 addr show dev va tentative')).toBe('')
})
