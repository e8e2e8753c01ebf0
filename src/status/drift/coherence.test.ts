// What of flannel's in the kernel doesn't fit together is named; what does is not.
import { expect, test } from 'bun:test'
import { device, ownObjects, peer } from '../../../test/support/dataplane.ts'
import { prefix } from '../../../test/support/values.ts'
import type { KernelObject, KindName } from '../../model/kernel.ts'
import { incoherences } from './coherence.ts'

const WHOLE: readonly KernelObject[] = [...ownObjects(), ...peer(1), ...peer(2, { through: 'plain' })]
const told = { subnets: [prefix('10.1.0.0/24')] }
const without = (kind: KindName, of: readonly KernelObject[] = peer(1)) => {
  const gone = of.filter((object) => object.kind === kind).map((object) => JSON.stringify(object))
  return WHOLE.filter((object) => !gone.includes(JSON.stringify(object)))
}
const named = (objects: readonly KernelObject[]) =>
  incoherences(objects, told).map(({ what, object }) => `${what} ${object}`)

test('what is whole has nothing to name, with next hops or without', () => expect(named(WHOLE)).toEqual([]))

test.each<[KindName, string[]]>([
  ['neighbour', ['missing neigh 10.2.1.0 dev flannel.1']],
  ['fdb', ['missing fdb 02:01:00:00:00:01 dev flannel.1']],
  ['route', ['missing route via 10.2.1.0 dev flannel.1']],
])('a %s that others need is missing', (kind, names) => expect(named(without(kind))).toEqual(names))

test('a device that is down, or without its address', () => {
  const others = WHOLE.filter((object) => object.kind !== 'link')
  expect(incoherences([device({ up: false }), ...others], told)).toMatchObject([
    {
      what: 'different',
      name: 'link flannel.1',
      differences: [{ field: 'state', want: 'up', have: 'down' }],
    },
  ])
  expect(named(without('address', ownObjects()))).toEqual(['missing address 10.1.0.0/32 dev flannel.1'])
})

test('a next hop that nothing goes with is too many; what is on links of others is not looked at', () => {
  const [, , hop] = peer(9)
  expect(named([...WHOLE, ...(hop === undefined ? [] : [hop])])).toEqual([
    'extra nexthop via 10.2.9.0 dev flannel.1 onlink',
  ])
  expect(
    incoherences(
      peer(3).filter(({ kind }) => kind === 'route'),
      told,
    ),
  ).toEqual([])
})

test('a MAC without neighbour is told where no route misses that neighbour', () => {
  const gone = without('neighbour').filter((object) => object.kind !== 'route' || object.via !== '10.2.1.0')
  expect(named(gone.filter((object) => object.kind !== 'nexthop'))).toEqual([
    'missing neigh lladdr 02:01:00:00:00:01 dev flannel.1',
  ])
})

test('without subnet.env the neighbours of an upstream host are not read: its FDB entries lack nothing', () => {
  const read = WHOLE.filter(({ kind }) => kind === 'link' || kind === 'fdb' || kind === 'address')
  expect(incoherences(read, { subnets: [] })).toEqual([])
})
