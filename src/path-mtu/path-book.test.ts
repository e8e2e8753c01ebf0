// Which paths are looked at for the first time, and which again when either end of them is another.
import { expect, test } from 'bun:test'
import { ip, mac, prefix } from '../../test/support/values.ts'
import { fdbEntry, neighbour, route, type KernelObject } from '../model/kernel.ts'
import type { Prefix } from '../model/prefix.ts'
import { PathBook } from './path-book.ts'
import type { Target, Tunnel } from './target.ts'

const TUNNEL: Tunnel = {
  device: 'flannel.1',
  family: 'ipv4',
  vni: 1,
  port: 8472,
  mac: mac('02:00:00:00:00:01'),
  local: ip('192.168.0.1'),
  vtep: ip('10.244.1.0'),
  overheadBytes: 50,
}
const TUNNEL6: Tunnel = { ...TUNNEL, device: 'flannel-v6.1', family: 'ipv6', overheadBytes: 70 }
const WAY = { ipv4: ['flannel.1', '10.244.2.0/24'], ipv6: ['flannel-v6.1', 'fd00:2::/64'] } as const
const PEER = mac('02:00:00:00:00:02')
const way = ([device, subnet]: readonly [string, string], peer = PEER): readonly KernelObject[] => [
  neighbour({ link: device, ip: ip('10.244.2.0'), mac: peer }),
  fdbEntry({ link: device, mac: peer, dst: ip('192.168.0.2') }),
  route({ link: device, to: prefix(subnet), via: ip('10.244.2.0'), onLink: true, through: 'plain' }),
]
const SUBNETS = [prefix('10.244.2.0/24'), prefix('fd00:2::/64')] as const
const BOTH = [...way(WAY.ipv4), ...way(WAY.ipv6)]
const subnets = (paths: readonly { readonly target: Target }[]) =>
  paths.map(({ target: { subnet } }) => subnet)

/** Without peers. */
function emptyBook(known?: ReadonlyMap<Prefix, number>): PathBook {
  const result = new PathBook(known)
  result.begin([TUNNEL, TUNNEL6], 1500)
  return result
}
/** With one that is known to be small by both families. */
function book(): PathBook {
  const result = emptyBook()
  expect(result.want('peer', BOTH)).toEqual({ gone: [], anew: [] })
  const paths = result.awaken()
  expect(paths).toHaveLength(2)
  for (const path of paths) result.learn(path, 1400)
  return result
}

test('of peers nobody has looked at each comes once, but for those without a tunnel', () => {
  const paths = emptyBook()
  const direct = route({
    link: 'eth0',
    to: prefix('10.244.9.0/24'),
    via: ip('192.168.0.9'),
    onLink: false,
    through: 'plain',
  })
  paths.want('direct', [direct])
  paths.want('one', way(WAY.ipv4))
  paths.want('two', way(WAY.ipv6))
  paths.want('gone', way(['flannel.1', '10.244.7.0/24']))
  paths.want('gone', [])
  expect([paths.awaken(), paths.awaken(), paths.awaken()].map(subnets)).toEqual([
    [prefix('10.244.2.0/24')],
    [prefix('fd00:2::/64')],
    [],
  ])
})

test('one that another run knew is told at once', () => {
  const paths = emptyBook(new Map([[prefix('10.244.2.0/24'), 1300]]))
  expect(subnets(paths.want('peer', BOTH).anew)).toEqual([prefix('10.244.2.0/24'), prefix('fd00:2::/64')])
  expect(paths.leastBytes()).toBe(1350)
})

test('traffic to one nobody has looked at wakes it, with all its ways', () => {
  const paths = emptyBook()
  paths.want('peer', BOTH)
  expect(paths.findByMac('flannel.2', PEER)).toEqual({ path: undefined, anew: [] })
  const { path, anew } = paths.findByMac('flannel-v6.1', PEER)
  expect(path?.target.subnet).toBe(prefix('fd00:2::/64'))
  expect(anew).toHaveLength(2)
  expect(paths.findByMac('flannel-v6.1', PEER)).toEqual({ path, anew: [] })
  expect(paths.awaken()).toEqual([])
})

test('a peer that moves by one family keeps what is known by the other', () => {
  const paths = book()
  const { gone, anew } = paths.want('peer', [...way(WAY.ipv4), ...way(WAY.ipv6, mac('02:00:00:00:00:05'))])
  expect([subnets(gone), subnets(anew)]).toEqual([[prefix('fd00:2::/64')], [prefix('fd00:2::/64')]])
  expect(SUBNETS.map((subnet) => paths.mtuBytes(subnet))).toEqual([1350, undefined])
  expect(subnets(paths.want('peer', []).gone)).toEqual([...SUBNETS])
  expect(paths.small.size).toBe(0)
})
test('the same tunnels and interface say nothing new', () =>
  expect(book().begin([{ ...TUNNEL }, TUNNEL6], 1500)).toEqual({ gone: [], anew: [] }))

test.each([{ local: ip('192.168.9.9') }, { port: 4789 }, { mac: mac('02:00:00:00:00:09') }])(
  'a tunnel with another %o has its paths looked at again, what is known of them kept meanwhile',
  (change) => {
    const paths = book()
    const { gone, anew } = paths.begin([{ ...TUNNEL, ...change }, TUNNEL6], 1500)
    expect([subnets(gone), subnets(anew)]).toEqual([[], [prefix('10.244.2.0/24')]])
    expect(paths.mtuBytes(prefix('10.244.2.0/24'))).toBe(1350)
  },
)

test('with another MTU of the interface all are, and what came through whole is not known any more', () => {
  const paths = book()
  expect(subnets(paths.begin([TUNNEL, TUNNEL6], 1300).anew)).toHaveLength(2)
  expect(paths.small.size).toBe(0)
  const { anew } = paths.begin([TUNNEL, TUNNEL6], 9000)
  expect(anew.map(({ bytes }) => bytes)).toEqual([undefined, undefined])
})

test('those of a tunnel that is gone are forgotten', () =>
  expect(subnets(book().begin([TUNNEL], 1500).gone)).toEqual([prefix('fd00:2::/64')]))
