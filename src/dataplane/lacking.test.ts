// Which sources haven't got what they want, and why: before it is tried, blocked by something missing, denied, refused.
import { expect, test } from 'bun:test'
import { dataplaneHost, ownObjects, peer, soon } from '../../test/support/dataplane.ts'

const SAME_MAC = '02:00:00:00:0a:0b'

test('a source lacks what isn’t in the kernel, with the reason once there is one', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  const lacking = () => [...reconciler.lacking()]
  reconciler.want('lease 1', peer(1, { mac: SAME_MAC }), 10n)
  expect(lacking()).toEqual([['lease 1', undefined]])
  reconciler.complete()
  // Its device is missing.
  await reconciler.settled(soon())
  expect(lacking()).toEqual([['lease 1', expect.stringMatching(/flannel\.1/)]])
  reconciler.want('device', ownObjects())
  await reconciler.settled(soon())
  expect(lacking()).toEqual([])
  // The first one's MAC: one lacks it, for good.
  reconciler.want('lease 2', peer(2, { mac: SAME_MAC }), 20n)
  await reconciler.settled(soon())
  expect(lacking()).toEqual([['lease 2', expect.stringMatching(/^fdb .*lease 1 has it already/)]])
  reconciler.forget('lease 2')
  await reconciler.settled(soon())
  expect(lacking()).toEqual([])
})

test('rounds are told, and how long the one under way takes', async () => {
  await using host = await dataplaneHost()
  const rounds: number[] = []
  await using reconciler = host.reconciler({ onRound: (tookMs) => rounds.push(tookMs) })
  reconciler.want('device', ownObjects())
  await reconciler.settled(soon())
  expect(rounds.length).toBe(reconciler.report().rounds)
  expect(rounds.at(-1)).toBe(reconciler.report().lastRoundMs)
  expect(reconciler.report().roundRunsMs).toBeUndefined()
})
