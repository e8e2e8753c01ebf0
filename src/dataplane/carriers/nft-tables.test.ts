// The nf_tables carrier in a real kernel: what it reads, puts and removes, and how it hears of what others did.
import { describe, expect, test } from 'bun:test'
import type { NftTable } from '../../model/kernel.ts'
import type { Prefix } from '../../model/prefix.ts'
import { soon } from '../../../test/support/dataplane.ts'
import { kernel } from '../../../test/support/kernel.ts'
import type { Hint } from '../carrier.ts'
import { nftTableKind } from '../kinds/nft-table.ts'
import { NftTables } from './nft-tables.ts'

const table = (network: string): NftTable => ({
  kind: 'nft-table',
  family: 'ipv4',
  name: 'flannel-ipv4',
  chains: [
    {
      name: 'forward',
      hook: { type: 'filter', at: 'forward', priority: 0 },
      rules: [
        {
          matches: [{ match: 'saddr', not: false, prefix: network as Prefix }],
          verdict: { verdict: 'accept' },
        },
      ],
    },
  ],
})
const NAMES = [
  { family: 'ipv4', name: 'flannel-ipv4' },
  { family: 'ipv6', name: 'flannel-ipv6' },
] as const
const KEYS = NAMES.map(({ family, name }) => `${family} ${name}`)

describe('the nf_tables carrier', () => {
  test('puts, exchanges and removes tables, and reads only its own', async () => {
    await using host = await kernel()
    await host.sh('nft add table ip other')
    using carrier = new NftTables(NAMES, host.namespace)
    expect(await carrier.dump(soon())).toEqual([])
    const [before, after] = [table('10.1.0.0/16'), table('10.2.0.0/16')]
    expect(await carrier.apply([{ op: 'put', want: before, have: undefined }])).toEqual([{ kind: 'done' }])
    expect(await carrier.dump(soon())).toEqual([before])
    expect(await carrier.apply([{ op: 'put', want: after, have: before }])).toEqual([{ kind: 'done' }])
    expect(await carrier.dump(soon())).toEqual([after])
    const removal = [{ op: 'remove', have: after }] as const
    expect(await carrier.apply(removal)).toEqual([{ kind: 'done' }])
    expect(await carrier.apply(removal)).toEqual([{ kind: 'done' }])
    expect(await carrier.dump(soon())).toEqual([])
    expect(await host.sh('nft list tables')).toBe('table ip other\n')
  })

  test('tells what the kernel refused, and carries the rest', async () => {
    await using host = await kernel()
    using carrier = new NftTables(NAMES, host.namespace)
    const good = table('10.1.0.0/16')
    const bad: NftTable = {
      ...good,
      family: 'ipv6',
      name: 'flannel-ipv6',
      chains: good.chains.map((chain) => ({ ...chain, hook: { ...chain.hook, type: 'nat' }, rules: [] })),
    }
    const [refused, carried] = await carrier.apply([
      { op: 'put', want: bad, have: undefined },
      { op: 'put', want: good, have: undefined },
    ])
    expect(refused).toMatchObject({ kind: 'failed', reason: expect.stringContaining('chain forward') })
    expect(carried).toEqual({ kind: 'done' })
    expect(await carrier.dump(soon())).toEqual([good])
  })

  test('hears of a flushed ruleset, of a rule too many, and of its own doing as no news', async () => {
    await using host = await kernel()
    using carrier = new NftTables(NAMES, host.namespace)
    const stop = new AbortController()
    const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(10_000)])
    const next = async (): Promise<(NftTable | undefined)[]> => {
      expect(await carrier.ready(signal)).toBe(true)
      const pair = carrier.heard()
      expect(pair.map((hint) => hint.kind === 'seen' && hint.key)).toEqual(KEYS)
      return pair.map((hint) => (hint.kind === 'seen' ? hint.have : undefined))
    }
    const wanted = table('10.1.0.0/16')
    await carrier.apply([{ op: 'put', want: wanted, have: undefined }])
    const [own] = await next()
    expect(own && nftTableKind.same(wanted, own)).toBe(true)
    await host.sh('nft add rule ip flannel-ipv4 forward drop')
    const [changed] = await next()
    expect(changed && nftTableKind.same(wanted, changed)).toBe(false)
    await host.sh('nft flush ruleset')
    expect(await next()).toEqual([undefined, undefined])
    stop.abort()
    expect(await carrier.ready(signal)).toBe(false)
  })

  test('looks once after a burst, and misses nothing of it', async () => {
    await using host = await kernel()
    using carrier = new NftTables(NAMES, host.namespace)
    await host.sh('for i in 1 2 3 4 5 6 7 8; do nft add table ip t$i; done; nft add table ip flannel-ipv4')
    const seen: Hint<NftTable>[] = []
    for (let last = seen.at(-2); !(last?.kind === 'seen' && last.have); last = seen.at(-2)) {
      expect(await carrier.ready(AbortSignal.timeout(10_000))).toBe(true)
      seen.push(...carrier.heard())
    }
    expect(seen.length).toBeLessThanOrEqual(6)
  })
})
