// Labs that are too large for this machine.
import { expect, test } from 'bun:test'
import { checkFamilies, checkLimits, networkHere } from './limits.ts'
import { DUAL_STACK } from './networks.ts'
import { DEFAULTS, planOf } from './plan.ts'

const plan = (hosts: number) => planOf({ ...DEFAULTS, hosts })

test('a lab too large for the neighbour table is refused before anything is made', () => {
  const most = (ipv4: number, ipv6: number) => (name: string) => (name.includes('ipv6') ? ipv6 : ipv4)
  expect(() => checkLimits(plan(32), most(1024, 9999))).toThrow(
    'sysctl -w net.ipv4.neigh.default.gc_thresh3=',
  )
  expect(() => checkLimits(plan(32), most(9999, 1024))).toThrow(
    'sysctl -w net.ipv6.neigh.default.gc_thresh3=',
  )
  expect(() => checkLimits(plan(16), most(1024, 1024))).not.toThrow()
  expect(() => checkLimits(plan(100), most(Infinity, Infinity))).not.toThrow()
})

test('this machine has both families', () => {
  expect(networkHere()).toEqual({ network: DUAL_STACK, lacking: undefined })
  expect(() => checkFamilies(plan(1))).not.toThrow()
})
