// The xtables lock in other hands: rules come when it is free again, all else goes on meanwhile, and who ends doesn't wait.
import { expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { soon } from '../../test/support/dataplane.ts'
import {
  chains,
  chainScope,
  healed,
  inAgreement,
  reconciler as opened,
  shAtOnce,
  tablesHost,
} from '../../test/support/xtables.ts'
import { prefix } from '../../test/support/values.ts'
import { blackhole, type NftTable } from '../model/kernel.ts'
import { lockFile } from '../sys/lock.ts'
import { openDataplane } from './open.ts'

/** Longer by hand: twenty seconds end as well as two do. */
const HELD_MS = 1000 * Number(process.env['HEDDLE_LOCK_SECONDS'] ?? 2)

/** A lock file of this test's own, held. */
class Held implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'heddle-lock-'))
  readonly #path = join(this.#folder, 'lock')
  readonly #before = process.env['XTABLES_LOCKFILE']
  readonly #lock = lockFile(this.#path)

  constructor() {
    process.env['XTABLES_LOCKFILE'] = this.#path
  }
  /** Processes that were started to use it. */
  users(): string[] {
    return readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`XTABLES_LOCKFILE=${this.#path}\0`)
      } catch {
        return false
      }
    })
  }
  release(): void {
    this.#lock[Symbol.dispose]()
  }
  [Symbol.dispose](): void {
    this.release()
    process.env['XTABLES_LOCKFILE'] = this.#before
    rmSync(this.#folder, { recursive: true })
  }
}

test('legacy rules wait for the lock, and nothing else does', async () => {
  await using host = await tablesHost()
  using held = new Held()
  const want = chains('legacy', 'ipv4')
  await using reconciler = opened(host, want)
  await reconciler.settled(soon())
  expect(reconciler.report().kinds['iptables-chain']).toMatchObject({ blocked: 2, programmed: 0 })
  expect([...reconciler.lacking().values()]).toEqual([
    expect.stringMatching(/waits for the xtables lock .*, held by process \d+/),
  ])
  const route = blackhole(prefix('10.9.9.0/24'))
  reconciler.want('own', [route])
  await reconciler.settled(soon())
  expect(await host.sh('ip route show type blackhole')).toContain('10.9.9.0/24')
  await new Promise((resolve) => setTimeout(resolve, HELD_MS))
  expect(reconciler.report().kinds['iptables-chain']).toMatchObject({ blocked: 2, programmed: 0 })
  held.release()
  await inAgreement(reconciler)
  expect(reconciler.failures).toEqual(new Map())
  expect(reconciler.report().repairs).toBe(0)
  expect(await reconciler.drift()).toEqual([])
})

test('what is put back late is a repair all the same', async () => {
  await using host = await tablesHost()
  const [nat] = chains('legacy', 'ipv4')
  await using reconciler = opened(host, [nat])
  await inAgreement(reconciler)
  shAtOnce(host, 'iptables-legacy -t nat -F')
  using held = new Held()
  const deadline = soon()
  while (reconciler.report().kinds['iptables-chain']?.blocked !== 1) {
    deadline.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  // Nobody waits for it any more.
  await reconciler.settled(soon())
  held.release()
  await healed(reconciler, 1)
  expect(await reconciler.drift()).toEqual([])
})

test('another wish takes the place of one that waits', async () => {
  await using host = await tablesHost()
  using held = new Held()
  const [nat, filter] = chains('legacy', 'ipv4')
  await using reconciler = opened(host, [nat, filter])
  await reconciler.settled(soon())
  const other = { ...nat, rules: nat.rules.slice(0, 1) }
  reconciler.want('firewall', [other])
  await reconciler.settled(soon())
  held.release()
  await inAgreement(reconciler)
  // What was wanted first has never been written, so nothing was there to be put right.
  expect(reconciler.report().repairs).toBe(0)
  expect(await host.sh('iptables-legacy -t nat -S FLANNEL-POSTRTG')).toBe(
    `-N FLANNEL-POSTRTG\n-A FLANNEL-POSTRTG ${nat.rules[0]}\n`,
  )
  expect(await host.sh('iptables-legacy -S FORWARD')).toBe('-P FORWARD ACCEPT\n')
})

test('who ends waits for no lock, and leaves no process behind', async () => {
  await using host = await tablesHost()
  using held = new Held()
  const reconciler = opened(host, chains('legacy', 'ipv4'))
  await reconciler.settled(soon())
  expect(held.users()).not.toEqual([])
  await reconciler[Symbol.asyncDispose]()
  const deadline = soon()
  while (held.users().length > 0) {
    deadline.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  held.release()
  expect(await host.sh('iptables-legacy -t nat -S')).not.toContain('FLANNEL')
})

test('rules stay in nf_tables, or in the other iptables, until those that replace them are in', async () => {
  await using host = await tablesHost()
  const table: NftTable = { kind: 'nft-table', family: 'ipv4', name: 'flannel-ipv4', chains: [] }
  const [[old], [next]] = [chains('nf_tables', 'ipv4'), chains('legacy', 'ipv4')]
  const scope = { ...chainScope(old, next), tables: new Set(['ipv4 flannel-ipv4']) }
  await using reconciler = openDataplane(scope, { namespace: host.namespace })
  reconciler.complete()
  reconciler.want('firewall', [table, old])
  await inAgreement(reconciler)
  const former = async () => [
    (await host.sh('nft list tables')).includes('flannel-ipv4'),
    (await host.sh('iptables-nft-save')).includes('FLANNEL-POSTRTG'),
  ]
  expect(await former()).toEqual([true, true])
  using held = new Held()
  reconciler.want('firewall', [next])
  while (reconciler.report().kinds['iptables-chain']?.blocked !== 1) await reconciler.settled(soon())
  await reconciler.settled(soon())
  expect(await former()).toEqual([true, true])
  held.release()
  await inAgreement(reconciler)
  await reconciler.settled(soon())
  expect(await former()).toEqual([false, false])
})
