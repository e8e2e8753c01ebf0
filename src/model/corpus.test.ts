// flannel-compat 2.1, 2.2, 2.4, 3.1 and 3.2.2 against upstream v0.28.9 itself: corpus/*.json is what its code made of
// each text (its error, or what it read), and what heddle makes of it where that differs, and why.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { ipToValue } from './ip.ts'
import { formatLeaseAttributes, formatSubnetKey, parseLeaseAttributes, parseSubnetKey } from './lease.ts'
import { allows, NetworkConfigError, parseNetworkConfig, subnetAt, type NetworkRange } from './net-config.ts'
import { containsPrefix, parsePrefix } from './prefix.ts'

interface Entry {
  readonly text: string
  readonly upstream: unknown
  readonly heddle?: unknown
  readonly why?: string
}
const corpus = (name: string): readonly Entry[] =>
  JSON.parse(readFileSync(`${import.meta.dirname}/corpus/${name}.json`, 'utf8')) as Entry[]

/** What is refused, in the corpora. */
const REFUSED = 'refused'
const errorOf = (upstream: unknown): string | undefined =>
  typeof upstream === 'object' && upstream !== null && 'error' in upstream
    ? String(upstream.error)
    : undefined
const wanted = ({ upstream, heddle }: Entry): unknown =>
  heddle ?? (upstream === null || errorOf(upstream) !== undefined ? REFUSED : upstream)

const rangeOf = (range: NetworkRange | undefined) =>
  range && [range.network, range.subnetLength, range.min, range.max]
function configOf(text: string): { readonly config: unknown; readonly reason: string } {
  try {
    const { backendType, ipv4, ipv6, enableNFTables } = parseNetworkConfig(text)
    const config = {
      backend: backendType,
      ipv4: rangeOf(ipv4),
      ipv6: rangeOf(ipv6),
      nftables: enableNFTables,
    }
    return { config, reason: '' }
  } catch (error) {
    if (!(error instanceof NetworkConfigError)) throw error
    return { config: REFUSED, reason: error.message }
  }
}
const keyOf = (text: string): unknown => {
  const subnets = parseSubnetKey(text)
  return subnets === undefined ? REFUSED : [subnets.ipv4, subnets.ipv6].filter((p) => p !== undefined)
}
const attributesOf = (text: string): unknown => {
  const read = parseLeaseAttributes(text)
  return typeof read === 'string' ? REFUSED : formatLeaseAttributes(read)
}

const [configs, keys, attributes] = ['net-config', 'subnet-key', 'lease-attributes'].map(corpus) as [
  readonly Entry[],
  readonly Entry[],
  readonly Entry[],
]

test('where heddle differs from upstream the corpora say why', () => {
  for (const entries of [configs, keys, attributes]) {
    expect(entries.length).toBeGreaterThan(90)
    for (const entry of entries) {
      expect('heddle' in entry).toBe('why' in entry)
      if ('heddle' in entry) expect(entry.heddle).not.toEqual(wanted({ ...entry, heddle: undefined }))
    }
  }
})

describe('upstream’s corpus:', () => {
  test('network configs are read, completed and refused as by upstream', () => {
    for (const entry of configs)
      expect([entry.text, configOf(entry.text).config]).toEqual([entry.text, wanted(entry)])
  })

  test('network configs that upstream refuses by a rule of its own are refused in its words', () => {
    // Faults of JSON and of addresses are told in other words, also those that upstream finds out by a rule.
    const [FAULT, ODD] = [
      /^(json|invalid|unexpected|error decoding)|CIDR|IP address/,
      /^null$|::ffff:|6Network":"10/,
    ]
    const byRule = configs.flatMap(({ text, upstream }) => {
      const error = errorOf(upstream)
      return error === undefined || FAULT.test(error) || ODD.test(text) ? [] : [[text, error] as const]
    })
    expect(byRule.length).toBeGreaterThan(40)
    expect(byRule.map(([text]) => [text, configOf(text).reason] as const)).toEqual(byRule)
  })

  test('keys of leases name what they name to upstream', () => {
    for (const entry of keys) expect([entry.text, keyOf(entry.text)]).toEqual([entry.text, wanted(entry)])
  })

  test('values of leases are read, and written again to the byte', () => {
    for (const entry of attributes)
      expect([entry.text, attributesOf(entry.text)]).toEqual([entry.text, wanted(entry)])
  })
})

/** A text of the corpus, cut, with a part twice, altered, or crossed with another one. */
const spoiled = (entries: readonly Entry[]): fc.Arbitrary<string> => {
  const text = fc.constantFrom(...entries.map((entry) => entry.text))
  const at = fc.double({ min: 0, max: 1, noNaN: true })
  const odd = fc.oneof(
    fc.constantFrom('', '"', '{', '}', '[', ',', ':', '\\', '\\u0000', '-', '&', '/', '1e999', 'null', '::'),
    fc.string({ unit: 'binary', maxLength: 3 }),
  )
  return fc.tuple(text, text, at, at, odd, fc.nat(3)).map(([one, other, from, to, between, how]) => {
    const [a, b] = [Math.floor(from * one.length), Math.floor(to * other.length)]
    if (how === 0) return one.slice(0, a)
    if (how === 1) return one.slice(0, a) + between + one.slice(a + 1)
    if (how === 2) return one.slice(0, a) + between + one.slice(Math.min(a, b))
    return one.slice(0, a) + other.slice(b)
  })
}

describe('the corpus spoiled anywhere', () => {
  test('gives a network config whose subnets are all in its network, or a sentence', () => {
    let accepted = 0
    fc.assert(
      fc.property(spoiled(configs), (text) => {
        const { config, reason } = configOf(text)
        if (config === REFUSED) return reason.length > 10
        accepted++
        const { ipv4, ipv6 } = parseNetworkConfig(text)
        for (const range of [ipv4, ipv6]) {
          if (range === undefined) continue
          expect(ipToValue(range.min) <= ipToValue(range.max)).toBe(true)
          expect(allows(range, subnetAt(range, 0n))).toBe(true)
          expect(containsPrefix(range.network, subnetAt(range, 0n))).toBe(true)
        }
        return true
      }),
      { numRuns: 3000 },
    )
    expect(accepted).toBeGreaterThan(100)
  })

  test('gives the key of a lease that is written as it was read, or none', () => {
    let read = 0
    fc.assert(
      fc.property(spoiled(keys), (text) => {
        const subnets = parseSubnetKey(text)
        if (subnets === undefined) return true
        read++
        // IPv6 may be written in several ways; what is read of the one we write is the same.
        const written = formatSubnetKey(subnets.ipv4, subnets.ipv6)
        expect(parseSubnetKey(written)).toEqual(subnets)
        if (subnets.ipv6 === undefined) expect(written as string).toBe(text)
        for (const subnet of [subnets.ipv4, subnets.ipv6])
          if (subnet !== undefined) expect(parsePrefix(subnet)).toBe(subnet)
        return true
      }),
      { numRuns: 3000 },
    )
    expect(read).toBeGreaterThan(30)
  })

  test('gives attributes of a lease that are the same once written and read again, or a sentence', () => {
    let read = 0
    fc.assert(
      fc.property(spoiled(attributes), (text) => {
        const parsed = parseLeaseAttributes(text)
        if (typeof parsed === 'string') return parsed.length > 10
        read++
        // Once through JSON first: 1e400 has no text of its own.
        const written = attributesOf(formatLeaseAttributes(parsed))
        return written !== REFUSED && attributesOf(String(written)) === written
      }),
      { numRuns: 3000 },
    )
    expect(read).toBeGreaterThan(100)
  })
})
