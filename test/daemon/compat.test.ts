// Rows of flannel-compat 1 and 10 that only a whole daemon shows (docs/compat.md has where the others are): what is
// written where while it waits, what is there when it says that it is ready, what stays when it stops.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { FLANNELD } from '../support/executable.ts'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment } from '../support/segment.ts'
import { leaseKey, networkConfig, TestStore, vxlanLease } from '../support/stores.ts'

setDefaultTimeout(60_000)

const CONFIG = networkConfig({ Type: 'vxlan' })

// Mostly waiting, so all at once.
describe.concurrent('flannel-compat', () => {
  test('1.4.10: without a network config one line says what is waited for, and stdout stays empty', async () => {
    await using segment = await Segment.create(1)
    await using store = await TestStore.start('etcd', segment)
    const host = segment.host(1)
    const flags = [`--subnet-file=${host.subnetFile}`, `--state-dir=${host.stateDir}`, '--status-socket=']
    const words = [`--net=${host.namespace.path}`, FLANNELD, `--etcd-endpoints=${store.endpoint}`, ...flags]
    const child = spawn('nsenter', [...words, '--config-file='], { stdio: ['ignore', 'pipe', 'pipe'] })
    const told = { stdout: '', stderr: '' }
    child.stdout.on('data', (chunk: Buffer) => (told.stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (told.stderr += chunk.toString()))
    const ended = new Promise((resolve) => child.once('close', resolve))
    try {
      await eventually('it waits', () => /network config/.test(told.stderr) || undefined)
      // Upstream asks, and prints, each second.
      await pause(2_500)
    } finally {
      child.kill('SIGTERM')
    }
    expect(await ended).toBe(0)
    expect(told.stdout).toBe('')
    expect(told.stderr.split('\n').filter((line) => /network config/.test(line))).toHaveLength(1)
  })

  test('1.4.21, 1.4.22, weak point 35: once subnet.env is there, every peer is programmed', async () => {
    await using segment = await Segment.create(1)
    await using store = await TestStore.start('etcd', segment, CONFIG)
    const host = segment.host(1)
    const peers = Array.from({ length: 90 }, (_, n) => n + 1)
    const two = (n: number) => n.toString(16).padStart(2, '0')
    for (const n of peers)
      store.put(leaseKey(`10.244.${n}.0/24`), vxlanLease(`192.168.101.${n}`, `02:42:00:00:00:${two(n)}`))
    await using flanneld = Flanneld.launch(host, store)
    while (!existsSync(host.subnetFile)) await pause(1)
    const routes = await host.sh('ip route show dev flannel.1')
    expect(routes.split('\n').filter((line) => line.startsWith('10.244.')).length).toBe(peers.length)
    await flanneld.process.line(/flannel is ready/)
    const at = (pattern: RegExp) => flanneld.process.lines.findIndex((line) => pattern.test(line))
    expect(at(/Wrote subnet file/)).toBeLessThan(at(/flannel is ready/))
  })

  test('1.6: what stays when it stops: device, subnet.env and lease; 1.1 healthz-port 0: nothing listens', async () => {
    await using segment = await Segment.create(1)
    await using store = await TestStore.start('etcd', segment, CONFIG)
    const host = segment.host(1)
    await using flanneld = await Flanneld.start(host, store, { args: ['--ip-masq', '--healthz-port=0'] })
    expect(await host.sh('ss -Hltn')).toBe('')
    const kept = async () => ({
      link: await host.sh('ip -d link show flannel.1'),
      address: await host.sh('ip -4 -o addr show dev flannel.1'),
      rules: await host.sh('nft list ruleset'),
      file: readFileSync(host.subnetFile, 'utf8'),
      leases: [...store.leases()],
    })
    const before = await kept()
    expect(before.rules).toContain('masquerade')
    expect(await flanneld.end('SIGTERM')).toEqual({ code: 0, signal: null })
    expect(await kept()).toEqual(before)
  })
})
