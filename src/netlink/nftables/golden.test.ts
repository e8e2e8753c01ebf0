// The bytes nft 1.0.6 sends for the same commands, captured at its sendmsg(2); and the way back from them.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import type { NftChain, NftMatch, NftRule, NftVerdict } from '../../model/kernel.ts'
import { ipFromValue, type Family } from '../../model/ip.ts'
import { prefixOf, type Prefix } from '../../model/prefix.ts'
import { NLM_F, type Message } from '../wire.ts'
import { batchBegin, batchEnd, commentData, parseComment } from './header.ts'
import { appendRule, parseRule, putChain, putTable, removeTable, type TableName } from './table.ts'

const ipv4: TableName = { family: 'ipv4', name: 'flannel-ipv4' }
const ipv6: TableName = { family: 'ipv6', name: 'flannel-ipv6' }
const masquerade: NftChain = {
  name: 'postrtg',
  comment: 'chain to manage traffic masquerading by flannel',
  hook: { type: 'nat', at: 'postrouting', priority: 100 },
  rules: [],
}
const forward: NftChain = {
  name: 'forward',
  comment: 'chain to accept flannel traffic',
  hook: { type: 'filter', at: 'forward', priority: 0 },
  rules: [],
}
const random: NftVerdict = { verdict: 'masquerade', fullyRandom: true }
const plain: NftVerdict = { verdict: 'masquerade', fullyRandom: false }
const mark = (value: number, mask: number): NftMatch => ({ match: 'mark', value, mask })
const saddr = (prefix: string): NftMatch => ({ match: 'saddr', not: false, prefix: prefix as Prefix })
const daddr = (prefix: string): NftMatch => ({ match: 'daddr', not: false, prefix: prefix as Prefix })
const not = (match: NftMatch): NftMatch => (match.match === 'mark' ? match : { ...match, not: true })
const append = (
  table: TableName,
  chain: string,
  verdict: NftVerdict | 'accept' | 'return',
  ...matches: NftMatch[]
): Message =>
  appendRule(table, chain, { matches, verdict: typeof verdict === 'string' ? { verdict } : verdict })

const GOLDEN: readonly (readonly [command: string, message: Message, header: string, body: string])[] = [
  ['NFNL_MSG_BATCH_BEGIN', batchBegin(), '0010 1', '0000000a'],
  [
    'add table ip flannel-ipv4 { comment "rules for flannel-ipv4" ; }',
    putTable(ipv4, 'rules for flannel-ipv4'),
    '0a00 1',
    '0200000011000100666c616e6e656c2d697076340000000008000200000000001d000600001772756c657320666f7220666c616e6e656c2d6970763400000000',
  ],
  [
    'delete table ip flannel-ipv4',
    removeTable(ipv4),
    '0a02 1',
    '0200000011000100666c616e6e656c2d6970763400000000',
  ],
  [
    'add chain … { type nat hook postrouting priority 100 ; policy accept ; comment … }',
    putChain(ipv4, masquerade),
    '0a03 401',
    '0200000011000100666c616e6e656c2d69707634000000000c000300706f737472746700080007006e6174000800050000000001140004800800010000000004080002000000006436000c000030636861696e20746f206d616e6167652074726166666963206d6173717565726164696e6720627920666c616e6e656c000000',
  ],
  [
    'ip saddr 10.42.1.0/24 ip daddr 10.42.0.0/16 return',
    append(ipv4, 'postrtg', 'return', saddr('10.42.1.0/24'), daddr('10.42.0.0/16')),
    '0a06 c01',
    '0200000011000100666c616e6e656c2d69707634000000000c000200706f737472746700f4000480340001800c0001007061796c6f6164002400028008000100000000010800020000000001080003000000000c08000400000000032c00018008000100636d700020000280080001000000000108000200000000000c000380070001000a2a0100340001800c0001007061796c6f6164002400028008000100000000010800020000000001080003000000001008000400000000022c00018008000100636d700020000280080001000000000108000200000000000c000380060001000a2a0000300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c00028008000100fffffffb',
  ],
  [
    'ip saddr 10.42.0.0/22 ip daddr != 224.0.0.0/4 masquerade fully-random',
    append(ipv4, 'postrtg', random, saddr('10.42.0.0/22'), not(daddr('224.0.0.0/4'))),
    '0a06 c01',
    '0200000011000100666c616e6e656c2d69707634000000000c000200706f73747274670068010480340001800c0001007061796c6f6164002400028008000100000000010800020000000001080003000000000c0800040000000004440001800c0001006269747769736500340002800800010000000001080002000000000108000300000000040c00048008000100fffffc000c00058008000100000000002c00018008000100636d700020000280080001000000000108000200000000000c000380080001000a2a0000340001800c0001007061796c6f616400240002800800010000000001080002000000000108000300000000100800040000000004440001800c0001006269747769736500340002800800010000000001080002000000000108000300000000040c00048008000100f00000000c00058008000100000000002c00018008000100636d700020000280080001000000000108000200000000010c00038008000100e00000001c000180090001006d617371000000000c0002800800010000000010',
  ],
  [
    'ip saddr != 10.42.0.7 masquerade',
    append(ipv4, 'postrtg', plain, not(saddr('10.42.0.7/32'))),
    '0a06 c01',
    '0200000011000100666c616e6e656c2d69707634000000000c000200706f73747274670078000480340001800c0001007061796c6f6164002400028008000100000000010800020000000001080003000000000c08000400000000042c00018008000100636d700020000280080001000000000108000200000000010c000380080001000a2a000714000180090001006d6173710000000004000280',
  ],
  [
    'add chain … { type filter hook forward priority 0 ; policy accept ; comment … }',
    putChain(ipv4, forward),
    '0a03 401',
    '0200000011000100666c616e6e656c2d69707634000000000c000300666f7277617264000b00070066696c74657200000800050000000001140004800800010000000002080002000000000026000c000020636861696e20746f2061636365707420666c616e6e656c2074726166666963000000',
  ],
  [
    'ip saddr 10.42.0.0/16 accept',
    append(ipv4, 'forward', 'accept', saddr('10.42.0.0/16')),
    '0a06 c01',
    '0200000011000100666c616e6e656c2d69707634000000000c000200666f72776172640094000480340001800c0001007061796c6f6164002400028008000100000000010800020000000001080003000000000c08000400000000022c00018008000100636d700020000280080001000000000108000200000000000c000380060001000a2a0000300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c0002800800010000000001',
  ],
  [
    'add table ip6 flannel-ipv6',
    putTable(ipv6),
    '0a00 1',
    '0a00000011000100666c616e6e656c2d69707636000000000800020000000000',
  ],
  [
    'ip6 saddr 2001:cafe:42::/57 accept',
    append(ipv6, 'forward', 'accept', saddr('2001:cafe:42::/57')),
    '0a06 c01',
    '0a00000011000100666c616e6e656c2d69707636000000000c000200666f727761726400fc000480340001800c0001007061796c6f6164002400028008000100000000010800020000000001080003000000000808000400000000105c0001800c00010062697477697365004c0002800800010000000001080002000000000108000300000000101800048014000100ffffffffffffff8000000000000000001800058014000100000000000000000000000000000000003800018008000100636d70002c0002800800010000000001080002000000000018000380140001002001cafe004200000000000000000000300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c0002800800010000000001',
  ],
  [
    'ip6 daddr != ff00::/8 accept',
    append(ipv6, 'forward', 'accept', not(daddr('ff00::/8'))),
    '0a06 c01',
    '0a00000011000100666c616e6e656c2d69707636000000000c000200666f72776172640094000480340001800c0001007061796c6f6164002400028008000100000000010800020000000001080003000000001808000400000000012c00018008000100636d700020000280080001000000000108000200000000010c00038005000100ff000000300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c0002800800010000000001',
  ],
  [
    'meta mark 0x4000 return',
    append(ipv6, 'forward', 'return', mark(0x4000, 0xffffffff)),
    '0a06 c01',
    '0a00000011000100666c616e6e656c2d69707636000000000c000200666f7277617264008400048024000180090001006d6574610000000014000280080002000000000308000100000000012c00018008000100636d700020000280080001000000000108000200000000000c0003800800010000400000300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c00028008000100fffffffb',
  ],
  ['NFNL_MSG_BATCH_END', batchEnd(), '0011 1', '0000000a'],
]

describe('nf_tables messages', () => {
  test.each(GOLDEN)('%s', (_command, message, header, body) => {
    const [type, flags] = header.split(' ').map((hex) => parseInt(hex, 16))
    expect(message.type).toBe(type ?? -1)
    expect(message.flags | NLM_F.request).toBe(flags ?? -1)
    expect(Buffer.from(message.body).toString('hex')).toBe(body)
  })
})

const prefixes = (family: Family): fc.Arbitrary<Prefix> =>
  fc
    .tuple(
      fc.bigInt({ min: 0n, max: (1n << (family === 'ipv4' ? 32n : 128n)) - 1n }),
      fc.nat(family === 'ipv4' ? 32 : 128),
    )
    .map(([value, bits]) => prefixOf(ipFromValue(family, value), bits))
const matches = (family: Family): fc.Arbitrary<NftMatch> =>
  fc.oneof(
    fc.record({
      match: fc.constantFrom('saddr' as const, 'daddr' as const),
      not: fc.boolean(),
      prefix: prefixes(family),
    }),
    fc.record({
      match: fc.constant('mark' as const),
      value: fc.nat(0xffffffff),
      mask: fc.nat(0xffffffff),
    }),
  )
const rules = (family: Family): fc.Arbitrary<NftRule> =>
  fc.record({
    matches: fc.array(matches(family), { maxLength: 4 }),
    verdict: fc.constantFrom<NftVerdict>({ verdict: 'accept' }, { verdict: 'return' }, random, plain),
  })

describe('reading a rule back', () => {
  test('of nft itself, which names the default operation of a mask where we leave it out', () => {
    const captured = Buffer.from(
      '0200000011000100666c616e6e656c2d69707634000000000c000200706f737472746700d000048024000180090001006d6574610000000014000280080002000000000308000100000000014c0001800c00010062697477697365003c00028008000100000000010800020000000001080006000000000008000300000000040c00048008000100004000000c00058008000100000000002c00018008000100636d700020000280080001000000000108000200000000000c0003800800010000400000300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c00028008000100fffffffb',
      'hex',
    )
    expect(parseRule(captured, 'ipv4')).toEqual({
      table: 'flannel-ipv4',
      chain: 'postrtg',
      rule: { matches: [mark(0x4000, 0x4000)], verdict: { verdict: 'return' } },
    })
  })

  test.each(['ipv4', 'ipv6'] as const)('any %s rule survives the way there and back', (family) =>
    fc.assert(
      fc.property(rules(family), (rule) => {
        const { body } = appendRule({ family, name: 't' }, 'c', rule)
        expect(parseRule(body, family)).toEqual({ table: 't', chain: 'c', rule })
      }),
    ),
  )

  test('a message cut anywhere is refused or unrecognised, never half a rule', () => {
    const rule: NftRule = { matches: [saddr('10.42.0.0/22'), mark(1, 3)], verdict: random }
    const { body } = appendRule(ipv4, 'c', rule)
    for (let end = 4; end < body.length; end++) {
      let found: unknown
      try {
        found = parseRule(body.subarray(0, end), 'ipv4').rule
      } catch (error) {
        expect(error).toMatchObject({ code: 'malformed' })
      }
      expect(found).toBeUndefined()
    }
  })
})

test('comments are kept as nft keeps them', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 40 }).filter((s) => !s.includes('\0')),
      (text) => expect(parseComment(commentData(text))).toBe(text),
    ),
  )
  expect(() => commentData('x'.repeat(128))).toThrow('127')
  expect(parseComment(Uint8Array.of(0, 9, 65))).toBeUndefined()
})
