// The probe for nexthop objects, asked of kernels that have them and that don't.
import { expect, test } from 'bun:test'
import { kernel } from '../../../test/support/kernel.ts'
import type { Message } from '../../netlink/wire.ts'
import { hasNexthops } from './nexthop-table.ts'

test('a kernel with nexthop objects has them, one that doesn’t know the question has none', async () => {
  await using host = await kernel()
  const socket = host.netlink()
  expect(hasNexthops(socket)).toBe(true)
  // Above all that rtnetlink knows: answered as RTM_GETNEXTHOP is before Linux 5.3.
  const dump = (message: Message, parse: () => undefined) => socket.dump({ ...message, type: 250 }, parse)
  expect(hasNexthops({ dump })).toBe(false)
  const broken = () => {
    throw new Error('no answer')
  }
  expect(() => hasNexthops({ dump: broken })).toThrow('no answer')
})
