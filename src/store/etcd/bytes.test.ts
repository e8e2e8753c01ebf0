// A server in whose watches anything may come: bytes that are no messages, frames cut off, streams and connections that
// break, compactions, another store. A host ends up with the peers that its content means, and nothing throws.
import { expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { serveGrpc } from '../../../test/support/grpc-server.ts'
import { ScriptedEtcd } from '../../../test/support/scripted-etcd.ts'
import { Collector, leaseKey, leaseValue, PREFIX } from '../../../test/support/store-world.ts'
import { parseLease, type SubnetKey } from '../../model/lease.ts'
import { parseNetworkConfig } from '../../model/net-config.ts'
import { LeaseTable } from '../lease-table.ts'
import { encodeFrame } from './frame.ts'
import { EtcdStore } from './store.ts'

/** What came in place of a frame, and the stream ended with it; in hexadecimal. */
const corpus = JSON.parse(readFileSync(`${import.meta.dirname}/corpus/watch-bytes.json`, 'utf8')) as {
  readonly what: string
  readonly hex: string
}[]

const config = parseNetworkConfig('{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan"}}')
const GOOD = [leaseValue('1.1.1.2'), leaseValue('1.1.1.3', { VNI: 2 })]
const BAD = ['', '{', leaseValue('1.1.1.4').slice(0, 30)]

type Step =
  | { readonly do: 'write'; readonly name: string; readonly value: string | undefined }
  | { readonly do: 'bytes'; readonly bytes: Uint8Array; readonly ended: boolean }
  | { readonly do: 'compact' }
  | { readonly do: 'end' }
  | { readonly do: 'break' }
  | { readonly do: 'reset'; readonly clusterId: bigint }
const names = fc.constantFrom('10.3.2.0-24', '10.3.3.0-24', '10.3.4.0-24', '10.3.5.0-24&fd00::-64', 'stray')
const noise = fc.oneof(
  fc.constantFrom(...corpus).map(({ hex }) => ({ bytes: Uint8Array.fromHex(hex), ended: true })),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => ({ bytes, ended: true })),
  fc.uint8Array({ maxLength: 6 }).map((bytes) => ({ bytes: encodeFrame(bytes), ended: false })),
)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      name: names,
      value: fc.constantFrom(...GOOD, ...GOOD, ...BAD, undefined, undefined),
    }),
  },
  { weight: 4, arbitrary: noise.map((one) => ({ do: 'bytes' as const, ...one })) },
  { weight: 2, arbitrary: fc.constantFrom<Step>({ do: 'compact' }, { do: 'end' }, { do: 'break' }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('reset' as const), clusterId: fc.constantFrom(1n, 2n) }),
  },
)

function act(etcd: ScriptedEtcd, one: Step): void {
  if (one.do === 'write') etcd.write(leaseKey(one.name), one.value)
  else if (one.do === 'compact') etcd.compact()
  else if (one.do === 'reset') etcd.reset(one.clusterId)
  else
    etcd.eachWatch((stream) => {
      if (one.do === 'break') stream.session?.destroy()
      else if (one.do === 'end') stream.end()
      else if (one.ended) stream.end(one.bytes)
      else stream.write(one.bytes)
    })
}

test('whatever bytes and breaks, the peers are what the store’s content means', async () => {
  const own = parseLease('10.3.1.0-24', leaseValue('1.1.1.1'), 1n)
  if (typeof own === 'string') return expect.unreachable(own)
  const etcd = new ScriptedEtcd()
  using server = await serveGrpc((stream, path) => etcd.answer(stream, path))
  await using store = new EtcdStore({ endpoints: [server.endpoint], prefix: PREFIX, renewMarginMinutes: 60 })
  const leases = new Collector(store.leases(new AbortController().signal))
  const table = new LeaseTable(config, own, { deletedMs: 0, missedMs: 0, resetMs: 0 }, () => undefined)
  let applied = 0
  let round = 0
  const watched = async () => {
    while (etcd.watches === 0) await Bun.sleep(2)
  }
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), fc.boolean(), async (steps, calmly) => {
      for (const one of steps) {
        if (calmly) await watched()
        act(etcd, one)
        await Bun.sleep(1)
      }
      const bad = [...etcd.contentAt(etcd.revision).values()].filter(({ value }) => BAD.includes(value ?? ''))
      for (const { key } of bad) etcd.write(key, undefined)
      const last = `10.${9 + (++round >> 8)}.${round & 255}.0-24`
      etcd.write(leaseKey(last), leaseValue('9.9.9.9'))
      await leases.until(
        (event) =>
          (event.kind === 'put' && event.lease.key === last) ||
          (event.kind === 'snapshot' && event.leases.some(({ key }) => key === last)),
      )
      for (; applied < leases.seen.length; applied++)
        table.apply(leases.seen[applied] ?? expect.unreachable(), applied)
      table.expire(1e9)
      const content = [...etcd.contentAt(etcd.revision).values()]
        .map(({ key, value }): [string, string] => [key.slice(leaseKey('').length), value ?? ''])
        .filter(([name]) => name.startsWith('10.3.'))
      const peers = [...table.peers].map(([name, { ipv4 }]): [string, string] => [
        name,
        leaseValue(ipv4?.publicIp ?? '', ipv4?.backendData),
      ])
      expect(new Map(peers)).toEqual(new Map(content))
      expect(table.peers.has(own.key satisfies SubnetKey)).toBe(false)
      // The watch after the last list has begun.
      while (store.troubles.size > 0) await Bun.sleep(2)
    }),
    { numRuns: 12 },
  )
}, 60_000)
