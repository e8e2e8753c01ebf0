// A host without iptables: chains in nf_tables that it would be needed for are left alone, and a wish for one says so.
import { expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const support = join(import.meta.dirname, '..', '..', 'test', 'support')
/** Runs in a mount namespace where no program of iptables' is left. */
const SCRIPT = `
  import { chains, reconciler, tablesHost } from '${support}/xtables.ts'
  await using host = await tablesHost()
  await host.sh(\`nft add table ip filter; nft add chain ip filter FLANNEL-FWD
    nft add chain ip filter FORWARD '{ type filter hook forward priority 0; }'
    nft add rule ip filter FORWARD counter jump FLANNEL-FWD\`)
  const [nat, filter] = chains('nf_tables', 'ipv4')
  await using opened = reconciler(host, [nat, filter], { auditMs: 20 })
  opened.forget('firewall')
  await opened.settled(AbortSignal.timeout(20_000))
  const failing = opened.failures.size
  const { rounds } = opened.report()
  while ((opened.report().kinds['iptables-chain']?.skips ?? 0) < 5) await new Promise((r) => setTimeout(r, 5))
  const isStill = opened.report().rounds < rounds + 20
  opened.want('firewall', [nat])
  await opened.settled(AbortSignal.timeout(20_000))
  const reasons = [...opened.failures.values()].map(({ reason }) => reason)
  console.log(JSON.stringify({ failing, isStill, reasons, ruleset: await host.sh('nft list ruleset') }))
`

test('without iptables there is nothing to clean, and nothing to write with', () => {
  const hide = ['nft', 'legacy'].map((kind) => `mount --bind /dev/null /usr/sbin/xtables-${kind}-multi`)
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    ['--mount', 'sh', '-ec', `${hide.join('; ')}; exec "$0" -e "$1"`, process.execPath, SCRIPT],
    { encoding: 'utf8', timeout: 30_000 },
  )
  expect([status, stderr]).toEqual([
    0,
    expect.stringMatching(/^[^\n]*chain FLANNEL-FWD is in table filter[^\n]*not installed[^\n]*\n/),
  ])
  const { failing, isStill, reasons, ruleset } = JSON.parse(stdout)
  expect({ failing, isStill, reasons }).toEqual({
    failing: 0,
    isStill: true,
    reasons: ['iptables-nft is not installed on this host'],
  })
  expect(ruleset).toContain('chain FLANNEL-FWD')
  expect(ruleset).not.toContain('table ip nat')
})
