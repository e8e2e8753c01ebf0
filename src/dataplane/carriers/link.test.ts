// What others do to a device just after we have put it is heard, though our own doing is no news.
import { expect, test } from 'bun:test'
import { dataplaneHost, device, SCOPE } from '../../../test/support/dataplane.ts'
import { LinkCarrier } from './link.ts'
import { Rtnetlink } from './rtnetlink.ts'

const NAME = 'flannel.1'
const PUT = { op: 'put', want: device(), have: undefined } as const

test('our own change is no news', async () => {
  await using host = await dataplaneHost()
  using session = Rtnetlink.open(SCOPE, host.namespace)
  const carrier = new LinkCarrier(session)
  expect(await carrier.apply([PUT])).toEqual([{ kind: 'done' }])
  expect(carrier.heard()).toEqual([])
  expect(await carrier.apply([{ op: 'remove', have: device() }])).toEqual([{ kind: 'done' }])
  expect(carrier.heard()).toEqual([])
})

for (const [what, command, hint] of [
  ['deletes it', `ip link del ${NAME}`, { kind: 'seen', key: NAME, have: undefined }],
  ['sets it down', `ip link set ${NAME} down`, { kind: 'seen', key: NAME, have: device({ up: false }) }],
  ['sets it down and up', `ip link set ${NAME} down; ip link set ${NAME} up`, { kind: 'link', link: NAME }],
] as const)
  test(`when somebody ${what} right after we have looked at it, that is heard`, async () => {
    await using host = await dataplaneHost()
    using session = Rtnetlink.open(SCOPE, host.namespace)
    const carrier = new LinkCarrier(session)
    const { socket } = session
    const request = socket.request.bind(socket)
    let looked = false
    socket.request = (message) => {
      const replies = request(message)
      if (message.subject === `get link ${NAME}`) {
        looked = true
        host.shAtOnce(command)
      }
      return replies
    }
    expect(await carrier.apply([PUT])).toEqual([{ kind: 'done' }])
    expect(looked).toBe(true)
    expect(carrier.heard().some((heard) => Bun.deepMatch(hint, heard))).toBe(true)
  })

// The kernel says nothing of nexthops and FDB entries that go with their device.
test('when it went as we were about to change it, all that was on it is looked at', async () => {
  await using host = await dataplaneHost()
  using session = Rtnetlink.open(SCOPE, host.namespace)
  const carrier = new LinkCarrier(session)
  await carrier.apply([PUT])
  const [have] = await carrier.dump()
  await host.sh(`ip link del ${NAME}`)
  const change = { op: 'put', want: device({ mtuBytes: 1400 }), have: have ?? expect.unreachable() } as const
  expect(await carrier.apply([change])).toEqual([{ kind: 'done' }])
  expect(carrier.heard()).toContainEqual({ kind: 'link', link: NAME })
  expect(await carrier.apply([{ ...change, want: device({ mtuBytes: 1390 }) }])).toEqual([{ kind: 'done' }])
  expect(carrier.heard()).toEqual([])
})
