// What connection tracking counts, against conntrack's own files in /proc.
import { expect, test } from 'bun:test'
import { kernel } from '../../test/support/kernel.ts'
import { readSysctl } from '../sys/sysctl.ts'
import { conntrackFailures, conntrackTable } from './conntrack.ts'

test('entries of this namespace and the limit are as the sysctls have them', async () => {
  await using host = await kernel()
  const socket = host.netlink('netfilter')
  const sysctl = (name: string) => Number(readSysctl(`net/netfilter/nf_conntrack_${name}`, host.namespace))
  expect(conntrackTable(socket)).toEqual({ entries: 0, max: sysctl('max') })
  // A rule that asks for a connection's state has connections tracked.
  await host.sh(`
    nft 'add table ip t; add chain ip t c { type filter hook output priority 0; }; add rule ip t c ct state new counter'
    bash -c 'for port in 7 8 9; do echo x > /dev/udp/127.0.0.1/$port; done'
  `)
  const { entries } = conntrackTable(socket)
  expect(entries).toBeGreaterThan(0)
  expect(entries).toBe(sysctl('count'))
})

test('what went wrong is summed up over all cores as /proc/net/stat/nf_conntrack lists it', async () => {
  await using host = await kernel()
  const [head = '', ...cores] = (await host.sh('cat /proc/net/stat/nf_conntrack')).trim().split('\n')
  const columns = head.trim().split(/\s+/)
  const sum = (name: string) =>
    cores.reduce(
      (all, line) => all + Number.parseInt(line.trim().split(/\s+/)[columns.indexOf(name)] ?? '', 16),
      0,
    )
  expect(conntrackFailures(host.netlink('netfilter'))).toEqual({
    insertFailed: sum('insert_failed'),
    drop: sum('drop'),
    earlyDrop: sum('early_drop'),
  })
})
