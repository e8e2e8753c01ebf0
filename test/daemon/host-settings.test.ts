// flanneld and the kernel settings of its host: set where its pods need them, without cutting the host off; watched; told
// where they can't be written; and what an uninstall makes of them.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DriftReport } from '../../src/status/drift/report.ts'
import { FLANNELD, HEDDLE } from '../support/executable.ts'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment, type Host } from '../support/segment.ts'
import { networkConfig, TestStore } from '../support/stores.ts'

setDefaultTimeout(60_000)

const DUAL = networkConfig(
  { Type: 'vxlan' },
  { EnableIPv6: true, IPv6Network: 'fd00:5::/48', IPv6SubnetMin: 'fd00:5:0:100::' },
)
const FORWARDING = ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']
const ESTABLISHED = 'net/netfilter/nf_conntrack_tcp_timeout_established'
const read = async (host: Host, name: string): Promise<number> =>
  Number(await host.sh(`cat /proc/sys/${name}`))
const recordOf = (host: Host): string => join(host.stateDir, 'sysctls.json')

/** A host that forwards nothing, filters strictly, and hears of its IPv6 routers by advertisements. */
async function plain(host: Host): Promise<void> {
  await host.sh(`
    cd /proc/sys/net
    echo 0 > ipv4/ip_forward; echo 0 > ipv6/conf/all/forwarding
    for each in all default; do echo 1 > ipv4/conf/$each/rp_filter; done
    echo 1 > ipv6/conf/default/accept_ra; echo 1 > ipv6/conf/eth0/accept_ra
    ip link add uplink type veth peer name router; ip link set router up; ip link set uplink up
    echo 1 > ipv6/conf/uplink/accept_ra; echo 1 > ipv6/conf/router/accept_ra
    ip -6 route add 2001:db8::/32 via fe80::1 dev uplink proto ra
  `)
}

/** In the host's network namespace; /var/lib is its own, so that this machine's CNI state is out of reach. */
function run(host: Host, store: TestStore, command: string, ...words: string[]) {
  const script = 'mount -t tmpfs none /var/lib; exec "$@"'
  const enter = [`--net=${host.namespace.path}`, 'unshare', '--mount', 'sh', '-ec', script, 'sh']
  const flags = [
    `--etcd-endpoints=${store.endpoint}`,
    `--subnet-file=${host.subnetFile}`,
    `--status-socket=${host.statusSocket}`,
    `--state-dir=${host.stateDir}`,
    '--config-file=',
  ]
  return spawnSync('nsenter', [...enter, command, ...words, ...flags], { encoding: 'utf8', timeout: 30_000 })
}

test('what pods need is set, the host keeps hearing its routers, and an uninstall puts back what nobody else needs', async () => {
  await using segment = await Segment.create(1, 'dual')
  const host = segment.host(1)
  await plain(host)
  await using store = await TestStore.start('etcd', segment, DUAL)
  const established = await read(host, ESTABLISHED)
  const args = ['--ip-masq', '--conntrack-tcp-timeout-established=7h']
  {
    await using flanneld = await Flanneld.start(host, store, { args })
    await eventually('all settings are as wanted', async () => {
      const kind = (await flanneld.report()).objects?.kinds.sysctl
      return kind !== undefined && kind.wanted > 0 && kind.programmed === kind.wanted ? true : undefined
    })
    const values = Object.fromEntries(
      await Promise.all(
        [
          ...FORWARDING,
          'net/ipv4/conf/flannel.1/rp_filter',
          'net/ipv4/conf/eth0/rp_filter',
          'net/ipv6/conf/flannel.1/accept_ra',
          'net/ipv6/conf/flannel-v6.1/accept_ra',
          'net/ipv6/conf/eth0/accept_ra',
          'net/ipv6/conf/uplink/accept_ra',
          'net/ipv6/conf/router/accept_ra',
          ESTABLISHED,
        ].map(async (name) => [name, await read(host, name)] as const),
      ),
    )
    expect(values).toEqual({
      'net/ipv4/ip_forward': 1,
      'net/ipv6/conf/all/forwarding': 1,
      'net/ipv4/conf/flannel.1/rp_filter': 2,
      'net/ipv4/conf/eth0/rp_filter': 0,
      'net/ipv6/conf/flannel.1/accept_ra': 0,
      'net/ipv6/conf/flannel-v6.1/accept_ra': 0,
      'net/ipv6/conf/eth0/accept_ra': 2,
      'net/ipv6/conf/uplink/accept_ra': 2,
      // Nothing was heard on it.
      'net/ipv6/conf/router/accept_ra': 1,
      [ESTABLISHED]: 7 * 3600,
    })
    const { conntrack } = JSON.parse((await flanneld.ask('/status')).body) as Record<string, unknown>
    expect(conntrack).toMatchObject({ max: expect.any(Number), insertFailed: 0, drop: 0, troubles: [] })
    expect((await flanneld.ask('/metrics')).body).toMatch(/^heddle_conntrack_max [1-9]/m)
    // An audit may be quicker.
    const drifting = await eventually('drift names it', async () => {
      await host.sh('echo 0 > /proc/sys/net/ipv4/ip_forward')
      const { objects } = JSON.parse((await flanneld.ask('/drift')).body) as DriftReport
      return objects.find(({ key }) => key === 'net/ipv4/ip_forward')
    })
    expect(drifting).toMatchObject({
      name: 'sysctl net.ipv4.ip_forward',
      what: 'different',
      for: 'host',
      differences: [{ field: 'value', want: '= 1', have: '= 0' }],
    })
  }
  // The next one finds its own doing, and keeps to it.
  {
    await using again = await Flanneld.start(host, store, { args })
    await eventually(
      'it is put right',
      async () => (await read(host, 'net/ipv4/ip_forward')) === 1 || undefined,
    )
    await again.end()
  }
  expect(await read(host, 'net/ipv6/conf/uplink/accept_ra')).toBe(2)
  const dry = run(host, store, FLANNELD, '--cleanup', '--dry-run')
  expect(dry.stdout).toContain(
    `would remove flanneld's value of sysctl net.netfilter.nf_conntrack_tcp_timeout_established, 25200: it is ${established} again\n`,
  )
  expect(await read(host, ESTABLISHED)).toBe(7 * 3600)
  const real = run(host, store, FLANNELD, '--cleanup')
  expect(real).toMatchObject({ status: 0, stderr: '' })
  expect(real.stdout.replaceAll('would remove', 'removed')).toBe(
    dry.stdout.replaceAll('would remove', 'removed'),
  )
  for (const name of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'])
    expect(real.stdout).toContain(
      `left: sysctl ${name}: it is 1, and was 0 before flanneld set it; others may need it as it is by now (sysctl -w ${name}=0)\n`,
    )
  expect(real.stdout).toContain('left: sysctl net.ipv6.conf.uplink.accept_ra: it is 2, and was 1')
  expect(await read(host, ESTABLISHED)).toBe(established)
  expect(existsSync(recordOf(host))).toBe(false)
  expect(run(host, store, FLANNELD, '--cleanup').stdout).toBe("nothing of flannel's is on this host\n")
})

test('where /proc/sys is read-only, what to type is told once for each, and pods are served as far as may be', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await plain(host)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
  const program = join(host.folder, 'flanneld')
  writeFileSync(
    program,
    `#!/bin/sh -e
exec unshare --mount sh -ec 'mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; exec ${FLANNELD} "$@"' sh "$@"
`,
  )
  chmodSync(program, 0o755)
  await using flanneld = await Flanneld.start(host, store, { program })
  const told =
    /ip_forward is 0, should be 1 \(.*\), and can't be written \(read-only file system\): on the host, sysctl -w net\.ipv4\.ip_forward=1; and for each boot, echo 'net\.ipv4\.ip_forward = 1' >> /
  await flanneld.process.line(told)
  const failed = async () => Object.entries((await flanneld.report()).failures ?? {})
  await eventually('it has been tried again', async () => {
    const tries = (await failed()).map(([, failure]) => (failure as { tries: number }).tries)
    return (tries.length > 0 && tries.every((count) => count > 2)) || undefined
  })
  expect((await failed()).map(([key]) => key).sort()).toEqual([
    'sysctl net/ipv4/conf/flannel.1/forwarding',
    'sysctl net/ipv4/conf/flannel.1/rp_filter',
    'sysctl net/ipv4/ip_forward',
    'sysctl net/ipv6/conf/flannel.1/accept_ra',
  ])
  expect((await flanneld.ask('/readyz')).status).toBe(200)
  expect(flanneld.process.lines.filter((line) => told.test(line)).length).toBe(1)
  const drift = run(host, store, HEDDLE, 'drift', '--')
  expect(drift.status).toBe(1)
  expect(drift.stdout).toMatch(/^different +sysctl net\.ipv4\.ip_forward .*read-only file system/m)
  // Nothing was set, so there is nothing to put back.
  expect(existsSync(recordOf(host))).toBe(false)
  // Once the host itself sets it, all is well.
  await host.sh('echo 1 > /proc/sys/net/ipv4/ip_forward')
  await eventually('it is seen', async () => {
    const keys = (await failed()).map(([key]) => key)
    return keys.includes('sysctl net/ipv4/ip_forward') ? undefined : true
  })
})

test('a record of another boot, or one that is none, counts for nothing', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await plain(host)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'host-gw' }))
  {
    await using flanneld = await Flanneld.start(host, store)
    await eventually('it forwards', async () => (await read(host, 'net/ipv4/ip_forward')) === 1 || undefined)
    await flanneld.end()
  }
  const record = JSON.parse(readFileSync(recordOf(host), 'utf8')) as { settings: { name: string }[] }
  expect(record.settings.map(({ name }) => name)).toEqual(['net/ipv4/ip_forward'])
  writeFileSync(recordOf(host), JSON.stringify({ ...record, boot: 'another' }))
  expect(run(host, store, FLANNELD, '--cleanup').stdout).not.toContain('ip_forward')
  expect(existsSync(recordOf(host))).toBe(false)
})
