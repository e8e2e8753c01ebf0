// As long as nothing of ours changes, iptables isn't run at all: neither by audits, nor by what others change beside us,
// nor where there is nothing of ours to begin with.
import { expect, test } from 'bun:test'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { soon } from '../../test/support/dataplane.ts'
import { chains, chainScope, healed, reconciled, tablesHost, TOOLS } from '../../test/support/xtables.ts'
import { openDataplane } from './open.ts'
import type { Reconciler } from './reconciler.ts'

/** Programs in front of iptables' own that write down each run. */
class Runs implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'heddle-runs-'))
  readonly #path = process.env['PATH'] ?? ''

  constructor() {
    writeFileSync(join(this.#folder, 'runs'), '')
    for (const { tool } of TOOLS)
      for (const end of ['', '-save', '-restore']) {
        const file = join(this.#folder, `${tool}${end}`)
        writeFileSync(
          file,
          `#!/bin/sh\necho ${tool}${end} >> ${this.#folder}/runs\nexec /usr/sbin/${tool}${end} "$@"\n`,
        )
        chmodSync(file, 0o755)
      }
    process.env['PATH'] = `${this.#folder}:${this.#path}`
  }

  /** Since the last call. */
  take(): string[] {
    const file = join(this.#folder, 'runs')
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    writeFileSync(file, '')
    return lines.filter((line) => line !== '')
  }

  [Symbol.dispose](): void {
    process.env['PATH'] = this.#path
    rmSync(this.#folder, { recursive: true })
  }
}

const audits = (reconciler: Reconciler): number => {
  const report = reconciler.report().kinds['iptables-chain']
  return (report?.dumps ?? 0) + (report?.skips ?? 0)
}

/** Several audits, and of legacy tables at least one look. */
async function quietTime(reconciler: Reconciler): Promise<void> {
  const [from, until] = [audits(reconciler), performance.now() + 700]
  const deadline = soon()
  while (audits(reconciler) < from + 4 || performance.now() < until) {
    deadline.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

for (const { flavour, family, tool } of TOOLS)
  test(`${tool} is run for changes of ours alone`, async () => {
    await using host = await tablesHost()
    using runs = new Runs()
    const want = chains(flavour, family)
    const [nat] = want
    await using reconciler = await reconciled(host, want, { auditMs: 50 })
    expect(runs.take()).toContain(`${tool}-restore`)
    const real = `/usr/sbin/${tool}`
    await host.sh(`${real} -t nat -N KUBE; ${real} -t nat -A PREROUTING -j KUBE
      ${real} -t nat -A KUBE -p tcp -j RETURN; ${real} -A INPUT -i lo -j ACCEPT; nft add table inet other`)
    await quietTime(reconciler)
    expect(runs.take()).toEqual([])
    await host.sh(`${real} -t nat -D POSTROUTING ${nat.jump.rule}`)
    await healed(reconciler, 1)
    await quietTime(reconciler)
    // What had become of it, the change, and what became of that.
    // Of nf_tables' tables the chain and the one that leads to it, by themselves.
    const looks = flavour === 'legacy' ? [`${tool}-save`] : [tool, tool]
    expect(runs.take()).toEqual([...looks, `${tool}-restore`, ...looks])
  })

test('where nothing of ours is, no iptables is run, no legacy table made, and no tool is missed', async () => {
  await using host = await tablesHost()
  using runs = new Runs()
  const all = TOOLS.flatMap(({ flavour, family }) => chains(flavour, family))
  await host.sh('/usr/sbin/iptables-nft -t nat -A POSTROUTING -j ACCEPT')
  await using reconciler = openDataplane(chainScope(...all), { namespace: host.namespace, auditMs: 50 })
  reconciler.complete()
  await reconciler.settled(soon())
  await quietTime(reconciler)
  expect(runs.take()).toEqual([])
  expect(reconciler.failures).toEqual(new Map())
  expect(await host.sh('cat /proc/net/ip_tables_names /proc/net/ip6_tables_names')).toBe('')
})
