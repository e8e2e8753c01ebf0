// What is done about paths that are found to be small: the peer's route at once, this host's devices after a while.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { DEVICE, macOf, Narrows, subnetOf, vtepOf } from '../../../test/support/narrows.ts'
import { eventually } from '../../../test/support/process.ts'
import { ip, mac } from '../../../test/support/values.ts'
import { address, fdbEntry, link, neighbour, route, type KernelObject } from '../../model/kernel.ts'
import type { SubnetKey } from '../../model/lease.ts'
import { PathKeeper, type PathKeeperParts } from './keeper.ts'

setDefaultTimeout(40_000)

const KEY = '10.244.2.0-24' as SubnetKey
const [device, subnet] = [DEVICE.ipv4, subnetOf(2, 'ipv4')]

class Kept implements Disposable {
  readonly keeper: PathKeeper
  readonly routed: SubnetKey[] = []
  readonly limits: (number | undefined)[] = []
  readonly #narrows: Narrows

  constructor(narrows: Narrows, parts: Partial<PathKeeperParts> = {}) {
    this.#narrows = narrows
    this.keeper = new PathKeeper({
      interfaceBytes: () => 1500,
      asks: () => true,
      families: () => ['ipv4', 'ipv6'],
      known: new Map(),
      limitBytes: undefined,
      namespace: narrows.first.namespace,
      patience: { lowerMs: 200, raiseMs: 100 },
      ...parts,
    })
    this.keeper.onRoutes = (keys) => this.routed.push(...keys)
    this.keeper.onLimit = () => this.limits.push(this.keeper.limitBytes)
  }

  begin(): void {
    const { first, second } = this.#narrows
    const own: readonly KernelObject[] = [
      link({
        name: device,
        mac: mac(macOf(1, 'ipv4')),
        mtuBytes: 1450,
        vxlan: { vni: 1, port: 8472, local: ip(first.ip), underlay: 'eth0', learning: false, gbp: false },
      }),
      address({ link: device, ip: ip(vtepOf(1, 'ipv4')), length: 32 }),
    ]
    const [via, peer] = [ip(vtepOf(2, 'ipv4')), mac(macOf(2, 'ipv4'))]
    this.keeper.own(own)
    this.keeper.peer(KEY, [
      neighbour({ link: device, ip: via, mac: peer }),
      fdbEntry({ link: device, mac: peer, dst: ip(second.ip) }),
      route({ link: device, to: subnet, via, onLink: true, through: 'plain' }),
    ])
  }

  [Symbol.dispose](): void {
    this.keeper[Symbol.dispose]()
  }
}

test('a small path is told at once, and limits devices after a while, not below 1280 bytes within; a peer that goes takes it along', async () => {
  await using narrows = await Narrows.create()
  for (const n of [1, 2] as const) await narrows.tunnel(n, 'ipv4')
  await narrows.mtu(1300)
  using kept = new Kept(narrows)
  const { keeper } = kept
  kept.begin()
  await eventually('the path is known', () => keeper.tunnelMtuBytes(subnet) === 1250 || undefined)
  expect(kept.routed).toContain(KEY)
  // IPv6 is in use too, whose packets are 70 bytes larger outside.
  await eventually('devices are limited', () => keeper.limitBytes === 1350 || undefined)
  expect(keeper.tell()).toEqual({
    asked: true,
    deviceLimitBytes: 1350,
    small: [{ subnet, remote: ip(narrows.second.ip), mtuBytes: 1250 }],
  })
  keeper.peer(KEY, [])
  await eventually('devices are free again', () => kept.limits.at(-1) === undefined || undefined)
  expect(kept.limits).toEqual([1350, undefined])
  expect(keeper.tunnelMtuBytes(subnet)).toBeUndefined()
})

test('a configured MTU wins: nothing is asked, and nothing that was known counts', async () => {
  await using narrows = await Narrows.create()
  for (const n of [1, 2] as const) await narrows.tunnel(n, 'ipv4')
  await narrows.mtu(1300)
  let asks = false
  using kept = new Kept(narrows, { asks: () => asks, known: new Map([[subnet, 1250]]), limitBytes: 1350 })
  const { keeper } = kept
  kept.begin()
  await eventually('devices are free', () => kept.limits.length || undefined)
  expect(kept.limits).toEqual([undefined])
  expect(keeper.tell()).toMatchObject({ asked: false, small: [] })
  expect(keeper.tunnelMtuBytes(subnet)).toBeUndefined()
  // The network config says otherwise now.
  asks = true
  kept.begin()
  await eventually('the path is known', () => keeper.tunnelMtuBytes(subnet) === 1250 || undefined)
  asks = false
  kept.begin()
  expect(keeper.tunnelMtuBytes(subnet)).toBeUndefined()
})
