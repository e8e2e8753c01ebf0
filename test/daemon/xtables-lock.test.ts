// A daemon whose rules are in iptables-legacy while somebody holds the xtables lock: peers are reached, SIGTERM ends it, and
// the rules come when the lock is free. At rest it starts no program.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lockFile } from '../../src/sys/lock.ts'
import { Flanneld } from '../support/flanneld.ts'
import { eventually, Running } from '../support/process.ts'
import { Segment } from '../support/segment.ts'
import { leaseKey, networkConfig, TestStore, vxlanLease } from '../support/stores.ts'

setDefaultTimeout(60_000)

test('weak point 39: a held xtables lock keeps neither routes nor the end waiting, and no program is started at rest', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-xtables-'))
  try {
    const path = join(folder, 'lock')
    const env = { XTABLES_LOCKFILE: path }
    await using segment = await Segment.create(1)
    const host = segment.host(1)
    await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
    const options = { args: ['--ip-masq', '--firewall=iptables-legacy'], env }
    const masquerades = async () =>
      (await host.sh('XTABLES_LOCKFILE=/dev/null iptables-legacy -t nat -S')).includes('--random-fully')
    const lock = lockFile(path)
    {
      await using flanneld = Flanneld.launch(host, store, options)
      store.put(leaseKey('10.244.7.0/24'), vxlanLease('192.168.100.7', '02:00:00:00:00:07'))
      await eventually(
        'a peer is reached',
        async () => (await host.sh('ip route')).includes('10.244.7.0/24') || undefined,
      )
      await eventually(
        '/status says what the rules wait for',
        async () => (await flanneld.ask('/status')).body.includes('waits for the xtables lock') || undefined,
      )
      expect(await flanneld.end('SIGTERM', 5)).toEqual({ code: 0, signal: null })
    }
    expect(await masquerades()).toBe(false)
    await using flanneld = Flanneld.launch(host, store, options)
    await eventually(
      'it has begun',
      async () => (await host.sh('ip link')).includes('flannel.1') || undefined,
    )
    lock[Symbol.dispose]()
    await eventually('the rules are there', async () => ((await masquerades()) ? true : undefined))
    await flanneld.ready()
    const trace = join(folder, 'trace')
    const strace = Running.start('strace', [
      '-f',
      '-e',
      'trace=execve',
      '-o',
      trace,
      '-p',
      `${flanneld.process.pid}`,
    ])
    await strace.line(/attached/)
    // Others' doing beside ours, and several looks of ours at it.
    await host.sh('XTABLES_LOCKFILE=/dev/null iptables-legacy -t nat -N KUBE; nft add table inet others')
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    await strace.end('SIGINT')
    expect(readFileSync(trace, 'utf8')).not.toContain('execve')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
