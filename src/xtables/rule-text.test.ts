// Rule text is what the real iptables-save prints of it: both flavours, both families.
import { describe, expect, test } from 'bun:test'
import { tablesHost } from '../../test/support/xtables.ts'
import { prefix } from '../../test/support/values.ts'
import type { NftRule } from '../model/kernel.ts'
import { jumpText, quote, ruleText } from './rule-text.ts'

const rules = (cluster: string, subnet: string, multicast: string): NftRule[] => [
  { matches: [{ match: 'mark', value: 0x4000, mask: 0x4000 }], verdict: { verdict: 'return' } },
  { matches: [{ match: 'mark', value: 0x4000, mask: 0xffff_ffff }], verdict: { verdict: 'return' } },
  {
    matches: [
      { match: 'daddr', not: false, prefix: prefix(cluster) },
      { match: 'saddr', not: true, prefix: prefix(subnet) },
      { match: 'mark', value: 1, mask: 0xff },
    ],
    verdict: { verdict: 'accept' },
  },
  {
    matches: [
      { match: 'saddr', not: false, prefix: prefix(cluster) },
      { match: 'daddr', not: true, prefix: prefix(multicast) },
    ],
    verdict: { verdict: 'masquerade', fullyRandom: true },
  },
  {
    matches: [{ match: 'saddr', not: false, prefix: prefix(cluster.includes(':') ? '::/0' : '0.0.0.0/0') }],
    verdict: { verdict: 'masquerade', fullyRandom: false },
  },
]

describe('the text of a rule', () => {
  for (const tool of ['iptables-legacy', 'iptables-nft', 'ip6tables-legacy', 'ip6tables-nft'])
    test(`is what ${tool} prints`, async () => {
      await using host = await tablesHost()
      const wanted = tool.startsWith('ip6')
        ? rules('fd00:10::/32', 'fd00:10:0:1::/64', 'ff00::/8')
        : rules('10.244.0.0/16', '10.244.7.0/24', '224.0.0.0/4')
      const lines = [
        ...wanted.map((rule) => `-A ONE ${ruleText(rule, `it's "flanneld" \\ masq`)}`),
        `-A POSTROUTING ${jumpText('ONE', 'plain')}`,
      ]
      const payload = ['*nat', ':ONE - [0:0]', ...lines, 'COMMIT', ''].join('\n')
      const out = await host.sh(`${tool}-restore --noflush <<'END'\n${payload}END\n${tool}-save -t nat`)
      expect(out.split('\n').filter((line) => line.startsWith('-A ONE'))).toEqual(lines.slice(0, -1))
      expect(out).toContain(lines.at(-1) ?? '')
    })

  test('is quoted only where it must be', () => {
    expect(quote('flanneld')).toBe('flanneld')
    expect(quote('flanneld masq')).toBe('"flanneld masq"')
    expect(quote('')).toBe('""')
  })

  test('cannot say "not everywhere"', () => {
    const rule: NftRule = {
      matches: [{ match: 'saddr', not: true, prefix: prefix('0.0.0.0/0') }],
      verdict: { verdict: 'return' },
    }
    expect(() => ruleText(rule, 'x')).toThrow('no way to say')
  })
})
