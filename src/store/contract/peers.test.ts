// Every store passes this: whatever is written to it and whatever befalls it, a host ends up with the peers that the
// store's content means, by an oracle of a few lines. Flannel-compat 10.A numbers 1 and 3: upstream drops every peer
// at a key that it can't read, and keeps what a peer was at a new snapshot.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { ETCD_KINDS } from '../../../test/support/etcd.ts'
import { Collector, leaseKey, leaseValue, StoreWorld } from '../../../test/support/store-world.ts'
import { parseLease } from '../../model/lease.ts'
import { parseNetworkConfig } from '../../model/net-config.ts'
import type { Graces } from '../graces.ts'
import { LeaseTable } from '../lease-table.ts'

const config = parseNetworkConfig('{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan"}}')
const OWN = { name: '10.3.1.0-24', ip: '1.1.1.1' }
const NAMES = [
  '10.3.2.0-24',
  '10.3.3.0-24',
  '10.3.2.0-23',
  '10.3.3.128-25',
  '10.3.4.0-24',
  '10.3.5.0-24&fd00::-64',
  // Refused: ours and a part of it, outside the network, all of it.
  OWN.name,
  '10.3.1.64-26',
  '10.4.2.0-24',
  '10.0.0.0-8',
]
const STRAY = ['stray', '', '10.3.6.1-24', '10.3.6.0-24X', '10.3.6.0-24/x', 'x10.3.6.0-24']
const GOOD = [
  leaseValue('1.1.1.2'),
  leaseValue('1.1.1.3', { VNI: 1, VtepMAC: '02:00:00:00:00:03' }),
  leaseValue('1.1.1.3', { VNI: 1, VtepMAC: '02:00:00:00:00:04' }),
  leaseValue(OWN.ip),
]
const BAD = ['', '{', '[]', '{"PublicIP":"::1"}', '{"PublicIP":"\u0000"}', leaseValue('1.1.1.4').slice(0, 30)]

interface Stored {
  readonly name: string
  readonly value: string
  readonly createRevision: bigint
}
interface Block {
  readonly first: number
  readonly last: number
}
/** Of `a.b.c.d-len…`, in numbers. */
function blockOf(name: string): Block {
  const [, a, b, c, d, length] = /^(\d+)\.(\d+)\.(\d+)\.(\d+)-(\d+)/.exec(name)?.map(Number) ?? []
  const first = (((a ?? 0) * 256 + (b ?? 0)) * 256 + (c ?? 0)) * 256 + (d ?? 0)
  return { first, last: first + 2 ** (32 - (length ?? 0)) - 1 }
}
const meet = (a: Block, b: Block) => a.first <= b.last && b.first <= a.last
const NETWORK = blockOf('10.3.0.0-16')

/** The peers that the store's content means: name and value. Who came first stays. */
function oracle(content: readonly Stored[]): Map<string, string> {
  const taken = [blockOf(OWN.name)]
  const peers = new Map<string, string>()
  const inOrder = content.toSorted(
    (a, b) => Number(a.createRevision - b.createRevision) || (a.name < b.name ? -1 : 1),
  )
  for (const { name, value } of inOrder) {
    if (!NAMES.includes(name) || !GOOD.includes(value) || value === leaseValue(OWN.ip)) continue
    const block = blockOf(name)
    const inside = block.first >= NETWORK.first && block.last <= NETWORK.last
    if (!inside || taken.some((other) => meet(block, other))) continue
    taken.push(block)
    peers.set(name, value)
  }
  return peers
}
const shown = (table: LeaseTable): Map<string, string> =>
  new Map(
    [...table.peers.values()].map(({ key, backendType, ipv4 }): [string, string] => {
      expect(backendType).toBe('vxlan')
      return [key, leaseValue(ipv4?.publicIp ?? '', ipv4?.backendData)]
    }),
  )
const sorted = (peers: ReadonlyMap<string, string>) => [...peers].sort(([a], [b]) => (a < b ? -1 : 1))

interface Write {
  readonly name: string
  /** Undefined: the key is removed. */
  readonly value?: string
}
/** `unseen`: writes that are compacted before the follower hears of them, so that it lists anew. */
type Step = 'cut' | 'mend' | 'compact' | 'wipe' | Write | { readonly unseen: readonly Write[] }
const name = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...NAMES) }, fc.constantFrom(...STRAY))
const value = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...GOOD) }, fc.constantFrom(...BAD))
const write: fc.Arbitrary<Write> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ name, value }) },
  fc.record({ name }),
)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 18, arbitrary: write },
  { weight: 4, arbitrary: fc.record({ unseen: fc.array(write, { minLength: 1, maxLength: 5 }) }) },
  { weight: 3, arbitrary: fc.constantFrom<Step>('cut', 'mend', 'compact') },
  { weight: 1, arbitrary: fc.constant<Step>('wipe') },
)
const AT_ONCE: Graces = { deletedMs: 0, missedMs: 0, resetMs: 0 }
const PATIENT: Graces = { deletedMs: 3, missedMs: 9, resetMs: 20 }
const FAR_MS = 1e9

for (const kind of ETCD_KINDS)
  describe(`the peers by ${kind}`, () => {
    const own = parseLease(OWN.name, leaseValue(OWN.ip), 1n)
    test('are what the store’s content means, whatever came before', async () => {
      if (typeof own === 'string') return expect.unreachable(own)
      await using world = await StoreWorld.start(kind)
      const leases = new Collector(world.store().leases(world.signal))
      const tables = [AT_ONCE, PATIENT].map((graces) => new LeaseTable(config, own, graces, () => undefined))
      let applied = 0
      let round = 0
      const act = async (what: Step) => {
        if (what === 'cut') world.line.cut()
        else if (what === 'mend') world.line.mend()
        else if (what === 'compact') await world.compact()
        else if (what === 'wipe') {
          await world.server.wipe()
          await world.server.up()
        } else if ('unseen' in what) {
          world.line.cut()
          for (const one of what.unseen) await act(one)
          await world.compact()
          world.line.mend()
        } else if (what.value === undefined) await world.remove(leaseKey(what.name))
        else await world.put(leaseKey(what.name), what.value)
      }
      /** All that was written has been heard of: a lease elsewhere, which is no peer, comes last. */
      const heard = async () => {
        world.line.mend()
        const last = `10.9.${++round & 255}.${(round >> 8) * 16}-28`
        await world.put(leaseKey(last), leaseValue('9.9.9.9'))
        await leases.until(
          (event) =>
            (event.kind === 'put' && event.lease.key === last) ||
            (event.kind === 'snapshot' && event.leases.some(({ key }) => key === last)),
        )
        for (; applied < leases.seen.length; applied++)
          for (const table of tables) table.apply(leases.seen[applied] ?? expect.unreachable(), applied)
      }
      const content = async (): Promise<readonly Stored[]> =>
        (await world.leases()).map((kv) => ({ ...kv, name: kv.key.slice(leaseKey('').length) }))
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
          for (const one of steps) await act(one)
          await heard()
          const spoiled = (await content()).filter((kv) => NAMES.includes(kv.name) && BAD.includes(kv.value))
          const expected = oracle(await content())
          for (const table of tables) {
            table.expire(FAR_MS)
            // A lease that can't be read any more stays what it was, and may be in the way of others.
            for (const [peer, its] of expected)
              if (!spoiled.some((kv) => meet(blockOf(kv.name), blockOf(peer))))
                expect([peer, table.peers.has(peer as never) && shown(table).get(peer)]).toEqual([peer, its])
          }
          for (const { name } of spoiled) await world.remove(leaseKey(name))
          await heard()
          for (const table of tables) {
            table.expire(FAR_MS)
            expect(sorted(shown(table))).toEqual(sorted(expected))
          }
        }),
        { numRuns: 10 },
      )
    }, 60_000)
  })
