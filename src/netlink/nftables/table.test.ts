// Tables in a real kernel: what we install as nft lists it, what nft installs as we read it, and replacement at once.
import { describe, expect, test } from 'bun:test'
import { spawn } from 'node:child_process'
import type { NftTable } from '../../model/kernel.ts'
import type { Prefix } from '../../model/prefix.ts'
import { kernel, type TestHost } from '../../../test/support/kernel.ts'
import { readTable } from './read.ts'
import { dropTable, replaceTable } from './transaction.ts'

const prefix = (text: string): Prefix => text as Prefix
const TABLE: NftTable = {
  kind: 'nft-table',
  family: 'ipv4',
  name: 'flannel-ipv4',
  comment: 'rules for flannel-ipv4',
  chains: [
    {
      name: 'postrtg',
      comment: 'chain to manage traffic masquerading by flannel',
      hook: { type: 'nat', at: 'postrouting', priority: 100 },
      rules: [
        { matches: [{ match: 'mark', value: 0x4000, mask: 0x4000 }], verdict: { verdict: 'return' } },
        {
          matches: [
            { match: 'saddr', not: true, prefix: prefix('10.42.1.0/22') },
            { match: 'daddr', not: false, prefix: prefix('10.42.0.0/16') },
          ],
          verdict: { verdict: 'masquerade', fullyRandom: true },
        },
        {
          matches: [{ match: 'saddr', not: false, prefix: prefix('10.9.8.7/32') }],
          verdict: { verdict: 'masquerade', fullyRandom: false },
        },
      ],
    },
    {
      name: 'forward',
      hook: { type: 'filter', at: 'forward', priority: -5 },
      rules: [
        {
          matches: [{ match: 'daddr', not: false, prefix: prefix('10.42.0.0/16') }],
          verdict: { verdict: 'accept' },
        },
      ],
    },
  ],
}
const LISTED = `table ip flannel-ipv4 {
	comment "rules for flannel-ipv4"
	chain postrtg {
		comment "chain to manage traffic masquerading by flannel"
		type nat hook postrouting priority srcnat; policy accept;
		meta mark & 0x00004000 == 0x00004000 return
		ip saddr != 10.42.0.0/22 ip daddr 10.42.0.0/16 masquerade fully-random
		ip saddr 10.9.8.7 masquerade
	}

	chain forward {
		type filter hook forward priority filter - 5; policy accept;
		ip daddr 10.42.0.0/16 accept
	}
}
`
const NAME = { family: 'ipv4', name: 'flannel-ipv4' } as const

/** TABLE as it reads back: its first prefix had host bits only in the test's text. */
const want: NftTable = JSON.parse(JSON.stringify(TABLE).replace('10.42.1.0/22', '10.42.0.0/22')) as NftTable

const read = (host: TestHost): NftTable | undefined => readTable(host.netlink('netfilter'), NAME)

describe('a table in the kernel', () => {
  test('is what nft lists, and reads back the same', async () => {
    await using host = await kernel()
    expect(read(host)).toBeUndefined()
    replaceTable(host.netlink('netfilter'), want)
    expect(await host.sh('nft list ruleset')).toBe(LISTED)
    expect(read(host)).toEqual(want)
  })

  test('made by nft reads the same as one of ours', async () => {
    await using host = await kernel()
    await host.sh(`nft -f - <<'END'\n${LISTED}END`)
    expect(read(host)).toEqual(want)
  })

  test('of IPv6 does too', async () => {
    await using host = await kernel()
    const table: NftTable = {
      kind: 'nft-table',
      family: 'ipv6',
      name: 'flannel-ipv6',
      chains: [
        {
          name: 'postrtg',
          hook: { type: 'nat', at: 'postrouting', priority: 100 },
          rules: [
            {
              matches: [
                { match: 'saddr', not: false, prefix: prefix('2001:cafe:42::/57') },
                { match: 'daddr', not: true, prefix: prefix('ff00::/8') },
              ],
              verdict: { verdict: 'masquerade', fullyRandom: true },
            },
          ],
        },
      ],
    }
    replaceTable(host.netlink('netfilter'), table)
    expect(await host.sh('nft list ruleset')).toContain(
      'ip6 saddr 2001:cafe:42::/57 ip6 daddr != ff00::/8 masquerade fully-random\n',
    )
    expect(readTable(host.netlink('netfilter'), table)).toEqual(table)
  })

  test('without chains, or with an empty one, reads back as such', async () => {
    await using host = await kernel()
    const empty: NftTable = { kind: 'nft-table', ...NAME, chains: [] }
    replaceTable(host.netlink('netfilter'), empty)
    expect(read(host)).toEqual(empty)
    const chain = { name: 'c', hook: { type: 'filter', at: 'forward', priority: 0 }, rules: [] } as const
    replaceTable(host.netlink('netfilter'), { ...empty, chains: [chain] })
    expect(read(host)).toEqual({ ...empty, chains: [chain] })
  })
})

describe('what others did to our table', () => {
  test.each([
    ['a rule of a kind we have no word for', 'add rule ip flannel-ipv4 forward counter accept'],
    ['another verdict', 'add rule ip flannel-ipv4 forward ip saddr 10.0.0.0/8 drop'],
    ['a port range', 'add rule ip flannel-ipv4 postrtg ip protocol tcp masquerade to :1024-2048'],
    ['a match on another field', 'add rule ip flannel-ipv4 forward tcp dport 80 accept'],
    ['an address range', 'add rule ip flannel-ipv4 forward ip saddr 10.0.0.1-10.0.0.9 accept'],
    ['a mark that must differ', 'add rule ip flannel-ipv4 forward meta mark != 1 accept'],
    ['a plain chain', 'add chain ip flannel-ipv4 more'],
    ['a jump', 'add chain ip flannel-ipv4 more ; add rule ip flannel-ipv4 forward jump more'],
    ['a chain at another hook', 'add chain ip flannel-ipv4 in { type filter hook input priority 0 ; }'],
    ['a policy of drop', 'chain ip flannel-ipv4 forward { policy drop ; }'],
    ['a set', 'add set ip flannel-ipv4 s { type ipv4_addr ; }'],
    ['a dormant table', 'add table ip flannel-ipv4 { flags dormant ; }'],
  ])('%s makes it unlike any wanted one', async (_what, command) => {
    await using host = await kernel()
    replaceTable(host.netlink('netfilter'), want)
    await host.sh(`nft '${command}'`)
    expect(read(host)?.unrecognised).toBeString()
    replaceTable(host.netlink('netfilter'), want)
    expect(read(host)).toEqual(want)
    expect(await host.sh('nft list ruleset')).toBe(LISTED)
  })

  test.each([
    ['a rule more', 'add rule ip flannel-ipv4 forward ip saddr 10.0.0.0/8 accept'],
    ['a rule in front', 'insert rule ip flannel-ipv4 postrtg return'],
    ['a rule less', 'flush chain ip flannel-ipv4 forward'],
    ['no chain', 'delete chain ip flannel-ipv4 forward'],
  ])('%s shows', async (_what, command) => {
    await using host = await kernel()
    replaceTable(host.netlink('netfilter'), want)
    await host.sh(`nft '${command}'`)
    const found = read(host)
    expect(found).toBeDefined()
    expect(found).not.toEqual(want)
  })
})

describe('a transaction', () => {
  test('leaves foreign tables as they are, handles included', async () => {
    await using host = await kernel()
    await host.sh(`nft -f - <<'END'
      table ip kube-proxy {
        set s { type ipv4_addr ; elements = { 10.0.0.1 } }
        chain c { type nat hook postrouting priority 100 ; ip saddr @s counter masquerade ; }
      }
      table inet flannel-ipv4 {
        chain forward { type filter hook forward priority 0 ; accept ; }
      }
      table ip6 flannel-ipv4 {
        chain x { accept ; }
      }
END`)
    const foreign = () =>
      host.sh(
        'nft -a list table ip kube-proxy; nft -a list table inet flannel-ipv4; nft -a list table ip6 flannel-ipv4',
      )
    const before = await foreign()
    replaceTable(host.netlink('netfilter'), want)
    replaceTable(host.netlink('netfilter'), want)
    expect(read(host)).toEqual(want)
    expect(await foreign()).toBe(before)
    dropTable(host.netlink('netfilter'), NAME)
    dropTable(host.netlink('netfilter'), NAME)
    expect(read(host)).toBeUndefined()
    expect(await foreign()).toBe(before)
  })

  test('that the kernel refuses in part changes nothing and names the part', async () => {
    await using host = await kernel()
    const socket = host.netlink('netfilter')
    const [postrouting, forward] = want.chains
    if (postrouting === undefined || forward === undefined) throw new Error('two chains wanted')
    const misplaced: NftTable = { ...want, chains: [postrouting, { ...forward, rules: postrouting.rules }] }
    const attempt = () => replaceTable(socket, misplaced)
    expect(attempt).toThrow('append a rule to chain forward of nf_tables table ipv4 flannel-ipv4: EOPNOTSUPP')
    expect(await host.sh('nft list ruleset')).toBe('')
    replaceTable(socket, want)
    const before = await host.sh('nft -a list ruleset')
    expect(attempt).toThrow('EOPNOTSUPP')
    const impossible = { ...forward, hook: { ...forward.hook, type: 'nat' as const } }
    expect(() => replaceTable(socket, { ...want, chains: [impossible] })).toThrow('put chain forward')
    expect(await host.sh('nft -a list ruleset')).toBe(before)
  })

  test('never shows a reader less than the table before or the table after', async () => {
    await using host = await kernel()
    const socket = host.netlink('netfilter')
    const other: NftTable = {
      ...want,
      chains: want.chains.map((chain) => ({ ...chain, rules: [...chain.rules, ...chain.rules] })),
    }
    replaceTable(socket, want)
    using reader = readAllTheTime(host)
    await reader.started
    for (let i = 0; i < 400; i++) {
      replaceTable(socket, i % 2 === 0 ? other : want)
      if (i % 20 === 0) await new Promise(setImmediate)
    }
    const seen = await reader.stop()
    expect(seen.reads).toBeGreaterThan(20)
    expect(Math.min(...seen.rules)).toBe(4)
  })
})

/** Another process that counts the rules in one dump after the other, until told to stop. */
function readAllTheTime(host: TestHost) {
  const script = `
    import { NetlinkSocket } from '${import.meta.dirname}/../socket.ts'
    import { listRules } from '${import.meta.dirname}/table.ts'
    const socket = NetlinkSocket.open('netfilter')
    const rules = new Set(), name = { family: 'ipv4', name: 'flannel-ipv4' }
    let reads = 0, stop = false
    process.stdin.on('data', () => (stop = true))
    console.log('started')
    while (!stop) {
      for (let i = 0; i < 20; i++, reads++)
        try { rules.add(socket.dump(listRules(name)).length) } catch (e) { if (e.code !== 'interrupted') throw e }
      await new Promise(setImmediate)
    }
    console.log(JSON.stringify({ reads, rules: [...rules] }))
    process.exit(0)`
  const child = spawn('nsenter', [`--net=${host.namespace.path}`, process.execPath, '-e', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let out = ''
  const started = new Promise<void>((resolve) =>
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString()
      resolve()
    }),
  )
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
  return {
    started,
    async stop(): Promise<{ reads: number; rules: number[] }> {
      child.stdin.end('stop')
      await ended
      return JSON.parse(out.slice('started\n'.length)) as { reads: number; rules: number[] }
    },
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  }
}

describe('TCP segments clamped to what routes take', () => {
  const clamped = (family: 'ipv4' | 'ipv6'): NftTable => ({
    kind: 'nft-table',
    family,
    name: 'heddle-mss',
    chains: [
      {
        name: 'forward',
        hook: { type: 'filter', at: 'forward', priority: -150 },
        rules: [{ matches: [{ match: 'mark', value: 1, mask: 1 }], verdict: { verdict: 'return' } }],
        clamps: ['flannel.1', 'fifteen-letters'],
      },
    ],
  })

  test.each(['ipv4', 'ipv6'] as const)('%s: as nft would have written it, and read back', async (family) => {
    await using host = await kernel()
    replaceTable(host.netlink('netfilter'), clamped(family))
    expect(await host.sh(`nft list table ${family === 'ipv4' ? 'ip' : 'ip6'} heddle-mss`)).toContain(`
		meta mark & 0x00000001 == 0x00000001 return
		iifname "flannel.1" tcp flags syn / syn,rst tcp option maxseg size set rt mtu
		oifname "flannel.1" tcp flags syn / syn,rst tcp option maxseg size set rt mtu
		iifname "fifteen-letters" tcp flags`)
    expect(readTable(host.netlink('netfilter'), { family, name: 'heddle-mss' })).toEqual(clamped(family))
  })

  test.each([
    ['its order', 'tcp flags syn / syn,rst tcp option maxseg size set rt mtu', 'insert rule'],
    ['another size', 'oifname "a" tcp flags syn / syn,rst tcp option maxseg size set 1000', 'add rule'],
    ['other flags', 'oifname "a" tcp flags syn / syn,ack tcp option maxseg size set rt mtu', 'add rule'],
    [
      'more matches',
      'oifname "a" tcp dport 80 tcp flags syn / syn,rst tcp option maxseg size set rt mtu',
      'add rule',
    ],
    ['one way only', 'oifname "a" tcp flags syn / syn,rst tcp option maxseg size set rt mtu', 'add rule'],
  ])('a rule that differs in %s is recognised as none of ours', async (_what, rule, verb) => {
    await using host = await kernel()
    replaceTable(host.netlink('netfilter'), clamped('ipv4'))
    await host.sh(`nft '${verb} ip heddle-mss forward ${rule}'`)
    const found = readTable(host.netlink('netfilter'), { family: 'ipv4', name: 'heddle-mss' })
    expect(found?.unrecognised).toContain('forward')
  })
})
