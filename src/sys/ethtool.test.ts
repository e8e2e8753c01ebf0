// The checksum offload of a device, as ethtool shows and sets it.
import { expect, test } from 'bun:test'
import { kernel } from '../../test/support/kernel.ts'
import { thrown } from '../../test/support/values.ts'
import { Ethtool } from './ethtool.ts'

test('is read and set in one namespace only', async () => {
  await using a = await kernel()
  await using b = await kernel()
  for (const host of [a, b]) await host.sh('ip link add br.1 type bridge')
  using here = new Ethtool(a.namespace)
  using there = new Ethtool(b.namespace)
  here.setTxChecksum('br.1', false)
  expect([here.txChecksum('br.1'), there.txChecksum('br.1')]).toEqual([false, true])
  here.setTxChecksum('br.1', true)
  expect(here.txChecksum('br.1')).toBe(true)
})

test('of no device there is none', async () => {
  await using host = await kernel()
  using ethtool = new Ethtool(host.namespace)
  expect(ethtool.txChecksum('nothing')).toBeUndefined()
  expect(ethtool.index('nothing')).toBeUndefined()
  expect(ethtool.index('lo')).toBe(host.index('lo'))
  expect(thrown(() => ethtool.setTxChecksum('nothing', false))).toMatchObject({ errnoName: 'ENODEV' })
  expect(() => ethtool.txChecksum('a-name-that-is-too-long')).toThrow('no device')
})
