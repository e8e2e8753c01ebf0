// Labs that are too large for this machine.
import { expect, test } from 'bun:test'
import { checkLimits } from './limits.ts'
import { DEFAULTS, planOf } from './plan.ts'

const plan = (hosts: number) => planOf({ ...DEFAULTS, hosts })

test('a lab too large for the neighbour table is refused before anything is made', () => {
  expect(() => checkLimits(plan(32), 1024)).toThrow('sysctl -w net.ipv4.neigh.default.gc_thresh3=')
  expect(() => checkLimits(plan(16), 1024)).not.toThrow()
  expect(() => checkLimits(plan(100), Infinity)).not.toThrow()
})
