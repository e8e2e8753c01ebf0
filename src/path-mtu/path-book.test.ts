// Which paths are looked at again when this host's own end of them is another.
import { expect, test } from 'bun:test'
import { ip, mac, prefix } from '../../test/support/values.ts'
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
const target = (device: string, subnet: string): Target => ({
  device,
  subnet: prefix(subnet),
  vtep: ip('10.244.2.0'),
  mac: mac('02:00:00:00:00:02'),
  remote: ip('192.168.0.2'),
})
const subnets = (paths: readonly { readonly target: Target }[]) =>
  paths.map(({ target: { subnet } }) => subnet)

function book(): PathBook {
  const result = new PathBook()
  result.begin([TUNNEL, TUNNEL6], 1500)
  const { anew } = result.want('peer', [
    target('flannel.1', '10.244.2.0/24'),
    target('flannel-v6.1', 'fd00:2::/64'),
  ])
  expect(anew).toHaveLength(2)
  for (const path of anew) result.learn(path, 1400)
  return result
}

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
