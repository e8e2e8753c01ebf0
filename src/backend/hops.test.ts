// What --nexthop-objects comes to, and what routes look like then.
import { expect, test } from 'bun:test'
import { ip, prefix } from '../../test/support/values.ts'
import { directRoute, nexthopUse, tunnelRoute } from './hops.ts'

test('nexthop objects are for tunnels where the kernel has them, for all routes or for none if asked for', () => {
  expect(['auto', 'always', 'never'].map((wish) => nexthopUse(wish, true))).toEqual([
    'tunnels',
    'all',
    'none',
  ])
  expect(['auto', 'always', 'never'].map((wish) => nexthopUse(wish, false))).toEqual(['none', 'none', 'none'])
})

test('a route through an object wants that object too; direct ones are plain but for `all`', () => {
  const to = prefix('10.244.2.0/24')
  const hop = { via: ip('10.244.2.0'), link: 'flannel.1' }
  const kinds = (use: 'none' | 'tunnels' | 'all') =>
    [tunnelRoute, directRoute].map((make) =>
      make(to, hop, use)
        .map(({ kind }) => kind)
        .join(),
    )
  expect(kinds('none')).toEqual(['route', 'route'])
  expect(kinds('tunnels')).toEqual(['nexthop,route', 'route'])
  expect(kinds('all')).toEqual(['nexthop,route', 'nexthop,route'])
  expect(tunnelRoute(to, hop, 'none')).toEqual([
    { kind: 'route', to, ...hop, onLink: true, through: 'plain' },
  ])
  expect(directRoute(to, hop, 'all')).toEqual([
    { kind: 'nexthop', ...hop, onLink: false },
    { kind: 'route', to, ...hop, onLink: false, through: 'nexthop' },
  ])
})
