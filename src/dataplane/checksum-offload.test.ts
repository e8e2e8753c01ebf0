// The checksum offload of a device of ours: switched in place, put back when somebody switches it or makes the device
// anew, and left as it is found where nobody has a wish.
import { expect, test } from 'bun:test'
import { dataplaneHost, device, ownObjects, peer, repairsOf, soon } from '../../test/support/dataplane.ts'
import { eventually } from '../../test/support/process.ts'
import { Ethtool } from '../sys/ethtool.ts'

const NAME = 'flannel.1'
const OFF = device({ checksumOffload: false })

test('is switched off and on again in place, and nothing on the device is lost', async () => {
  await using host = await dataplaneHost()
  using ethtool = new Ethtool(host.namespace)
  await using reconciler = await host.settled()
  const index = host.index(NAME)
  for (const checksumOffload of [false, true]) {
    reconciler.want('device', ownObjects(device({ checksumOffload })))
    await reconciler.settled(soon())
    expect(ethtool.txChecksum(NAME)).toBe(checksumOffload)
    expect([...reconciler.failures]).toEqual([])
    expect(await reconciler.drift()).toEqual([])
  }
  expect(host.index(NAME)).toBe(index)
  expect(repairsOf(reconciler)).toEqual({})
})

test('is put back when somebody switches it', async () => {
  await using host = await dataplaneHost()
  using ethtool = new Ethtool(host.namespace)
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects(OFF))
  reconciler.complete()
  await reconciler.settled(soon())
  ethtool.setTxChecksum(NAME, true)
  // Our own namespace's monitor hears of it: no other sign is given.
  await eventually('it is off again', () => ethtool.txChecksum(NAME) === false || undefined)
  await reconciler.settled(soon())
  expect(repairsOf(reconciler)).toEqual({ link: 1 })
})

test('is as wished on a device that is made anew', async () => {
  await using host = await dataplaneHost()
  using ethtool = new Ethtool(host.namespace)
  await using reconciler = host.reconciler()
  reconciler.want('device', ownObjects(OFF))
  reconciler.want('lease', peer(1))
  reconciler.complete()
  await reconciler.settled(soon())
  const index = host.index(NAME)
  host.shAtOnce(`ip link del ${NAME}`)
  await reconciler.settled(soon())
  expect(host.index(NAME)).not.toBe(index)
  expect(ethtool.txChecksum(NAME)).toBe(false)
  expect(await reconciler.drift()).toEqual([])
})

test('is left as it is found where nobody has a wish', async () => {
  await using host = await dataplaneHost()
  using ethtool = new Ethtool(host.namespace)
  await using reconciler = await host.settled()
  host.shAtOnce(`ethtool -K ${NAME} tx off`)
  await reconciler.settled(soon())
  expect(await reconciler.drift()).toEqual([])
  reconciler.want('device', ownObjects(device({ mtuBytes: 1400 })))
  await reconciler.settled(soon())
  expect(ethtool.txChecksum(NAME)).toBe(false)
  expect([...reconciler.failures]).toEqual([])
})
