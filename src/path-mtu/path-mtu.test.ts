// Paths through a router of another MTU, asked over tunnels of the real kernel whose other end is just that: a kernel.
import { afterAll, beforeAll, beforeEach, expect, setDefaultTimeout, test } from 'bun:test'
import { DEVICE, macOf, Narrows, subnetOf, underlayOf, vtepOf } from '../../test/support/narrows.ts'
import { eventually } from '../../test/support/process.ts'
import type { Host } from '../../test/support/segment.ts'
import { ip, mac } from '../../test/support/values.ts'
import type { Family } from '../model/ip.ts'
import { fdbEntry, neighbour, route, type KernelObject } from '../model/kernel.ts'
import { VXLAN_OVERHEAD_BYTES } from '../model/vxlan.ts'
import { PACE } from './agenda.ts'
import { PathMtu, type PathChange } from './path-mtu.ts'
import type { Tunnel } from './target.ts'

setDefaultTimeout(40_000)

const tunnelOf = (host: Host, n: number, family: Family): Tunnel => ({
  device: DEVICE[family],
  family,
  vni: 1,
  port: 8472,
  mac: mac(macOf(n, family)),
  local: ip(underlayOf(host, family)),
  vtep: ip(vtepOf(n, family)),
  overheadBytes: VXLAN_OVERHEAD_BYTES[family],
})
const waysTo = (host: Host, n: number, family: Family): readonly KernelObject[] => {
  const [link, via, peer] = [DEVICE[family], ip(vtepOf(n, family)), mac(macOf(n, family))]
  return [
    neighbour({ link, ip: via, mac: peer }),
    fdbEntry({ link, mac: peer, dst: ip(underlayOf(host, family)) }),
    route({ link, to: subnetOf(n, family), via, onLink: true, through: 'plain' }),
  ]
}

/** What the first host finds out about the second. */
class Asker implements Disposable {
  readonly paths: PathMtu
  readonly changes: PathChange[] = []
  readonly #family: Family

  constructor(narrows: Narrows, family: Family, known?: number) {
    this.#family = family
    this.paths = new PathMtu({
      namespace: narrows.first.namespace,
      onChange: (changes) => this.changes.push(...changes),
      pace: { ...PACE, smallMs: 300, smallLeastMs: 1 },
      ...(known === undefined ? {} : { known: new Map([[subnetOf(2, family), known]]) }),
    })
    this.paths.begin([tunnelOf(narrows.first, 1, family)], 1500)
    this.paths.want('lease 2', waysTo(narrows.second, 2, family))
  }

  get mtuBytes(): number | undefined {
    return this.paths.mtuBytes(subnetOf(2, this.#family))
  }

  async finds(mtuBytes: number | undefined): Promise<void> {
    await eventually(`the path takes ${mtuBytes ?? 'all'}`, () => this.mtuBytes === mtuBytes || undefined, 15)
  }

  /** Large packets set out, as they do whenever TCP sends. */
  async traffic(): Promise<void> {
    const to = vtepOf(2, this.#family)
    await narrows.first.sh(`ping -n -q -c 1 -W 1 -s 1200 -M dont ${to} || true`)
  }

  [Symbol.dispose](): void {
    this.paths[Symbol.dispose]()
  }
}

// One world for all: each test begins with wide paths, and its own asker.
let narrows: Narrows
beforeAll(async () => {
  narrows = await Narrows.create()
  for (const family of ['ipv4', 'ipv6'] as const)
    for (const n of [1, 2] as const) await narrows.tunnel(n, family)
  await narrows.carried()
})
afterAll(async () => {
  await narrows[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await narrows.mtu(1500)
})

const inner = (family: Family, outer: number) => outer - VXLAN_OVERHEAD_BYTES[family]

for (const icmp of ['with ICMP', 'without ICMP'])
  test(`a router’s MTU is found by both families as it falls and rises again, ${icmp}`, async () => {
    if (icmp === 'without ICMP') await narrows.silence()
    await narrows.mtu(1400)
    using v4 = new Asker(narrows, 'ipv4')
    using v6 = new Asker(narrows, 'ipv6')
    const find = async (outer: number) => {
      await v4.finds(inner('ipv4', outer))
      await v6.finds(inner('ipv6', outer))
    }
    await find(1400)
    if (icmp === 'with ICMP') return
    // A small path is looked at again and again; whether it is smaller still its traffic tells.
    await narrows.mtu(1377)
    await v4.traffic()
    await v6.traffic()
    await find(1377)
    await narrows.mtu(1500)
    await v4.finds(undefined)
    await v6.finds(undefined)
    for (const { paths } of [v4, v6]) {
      expect(paths.small()).toEqual([])
      expect(paths.leastBytes()).toBeUndefined()
    }
  })

test.each([
  ['there', [2]],
  ['back', [1]],
] as const)('a path that is small only %s is found', async (_way, to) => {
  await narrows.mtu(1450, [...to])
  using v4 = new Asker(narrows, 'ipv4')
  using v6 = new Asker(narrows, 'ipv6')
  for (const [asker, family] of [
    [v4, 'ipv4'],
    [v6, 'ipv6'],
  ] as const) {
    await asker.finds(inner(family, 1450))
    expect(asker.changes.at(-1)).toEqual({
      source: 'lease 2',
      subnet: subnetOf(2, family),
      remote: underlayOf(narrows.second, family),
      mtuBytes: inner(family, 1450),
    })
  }
})

test.each(['ipv4', 'ipv6'] as const)(
  'traffic tells of a path over %s that got smaller, and what another run had known is looked at anew',
  async (family) => {
    using asker = new Asker(narrows, family, inner(family, 1400))
    expect(asker.mtuBytes).toBe(inner(family, 1400))
    await asker.finds(undefined)
    await narrows.mtu(1380)
    await asker.traffic()
    await asker.finds(inner(family, 1380))
  },
)

test('a device that is made anew is heard again', async () => {
  await narrows.mtu(1400)
  using asker = new Asker(narrows, 'ipv4')
  await asker.finds(1350)
  await narrows.first.sh('ip link del flannel.1')
  await narrows.mtu(1330)
  await narrows.tunnel(1, 'ipv4')
  asker.paths.stirred()
  await asker.finds(1280)
})

test('answers that nobody could give who has not got the probe count for nothing', async () => {
  await narrows.mtu(1400)
  using asker = new Asker(narrows, 'ipv4')
  const answer = { id: asker.paths.id, from: Uint8Array.of(10, 244, 2, 0), nonce: new Uint8Array(8) }
  for (let sequence = 0; sequence < 0x10000; sequence++)
    asker.paths.answered(DEVICE.ipv4, { ...answer, sequence })
  // Believed, they would have ended the search.
  expect(asker.paths.isIdle).toBe(false)
  await asker.finds(1350)
})

test('a peer that answers nothing keeps what was known: nothing, or what another run had found', async () => {
  await narrows.second.sh(
    `nft 'add table inet deaf; add chain inet deaf in { type filter hook input priority 0; }
          add rule inet deaf in meta l4proto { icmp, icmpv6 } iifname { "flannel.1", "flannel-v6.1" } counter drop'`,
  )
  const askers = (['ipv4', 'ipv6'] as const).flatMap((family) => [
    { family, known: undefined },
    { family, known: inner(family, 1400) },
  ])
  const open = askers.map(({ family, known }) => ({ asker: new Asker(narrows, family, known), known }))
  try {
    for (const { asker } of open)
      await eventually('it was given up', () => asker.paths.isIdle || undefined, 20)
    for (const { asker, known } of open) {
      expect(asker.mtuBytes).toBe(known)
      expect(asker.changes).toEqual([])
    }
    expect(await narrows.second.sh('nft list table inet deaf')).toMatch(/packets [1-9]\d*/)
  } finally {
    for (const { asker } of open) asker[Symbol.dispose]()
  }
})
