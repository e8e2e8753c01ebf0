// What the session makes of notifications that a carrier can't read.
import { expect, test } from 'bun:test'
import { setTimeout } from 'node:timers/promises'
import { dataplaneHost, SCOPE } from '../../../test/support/dataplane.ts'
import { RTM_LINK } from '../../netlink/link.ts'
import { Rtnetlink } from './rtnetlink.ts'

test('a notification that a carrier can’t read counts as lost for it, and it goes on hearing', async () => {
  await using host = await dataplaneHost()
  using session = Rtnetlink.open(SCOPE, host.namespace)
  const heard: string[] = []
  session.listen({
    types: [RTM_LINK.put],
    hear() {
      heard.push('message')
      if (heard.length === 1) throw new RangeError('an attribute of -1 bytes')
    },
    overrun: () => heard.push('overrun'),
  })
  for (let n = 1; n <= 2; n++) {
    host.shAtOnce(`ip link set eth0-peer alias x${n}`)
    while (heard.filter((word) => word === 'message').length < n) await setTimeout(5)
  }
  expect(heard.slice(0, 2)).toEqual(['message', 'overrun'])
  expect(heard.slice(2)).not.toContain('overrun')
})
