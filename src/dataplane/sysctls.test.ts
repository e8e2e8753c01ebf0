// Kernel settings among the other objects, in a real kernel: set, watched by audits, put back, and refused with a command
// to type.
import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type DataplaneHost, dataplaneHost, device, ownObjects, soon } from '../../test/support/dataplane.ts'
import { ip, prefix } from '../../test/support/values.ts'
import { sysctl, type Sysctl } from '../model/kernel.ts'
import { readSysctl, writeSysctl } from '../sys/sysctl.ts'
import { formerSettings } from './former-settings.ts'

const FORWARDING = 'net/ipv4/ip_forward'
const ALIVE = 'net/ipv4/neigh/eth0/app_solicit'
const setting = (s: Partial<Sysctl> & Pick<Sysctl, 'name' | 'value'>): Sysctl =>
  sysctl({ why: 'a test wants it', undo: 'leave', ...s })
const read = (host: DataplaneHost, name: string) => Number(readSysctl(name, host.namespace))
const write = (host: DataplaneHost, name: string, value: number) => writeSysctl(name, value, host.namespace)

test('a setting is set, left alone where it is fine, and put right by an audit', async () => {
  await using host = await dataplaneHost()
  write(host, FORWARDING, 0)
  write(host, 'net/ipv4/conf/eth0/rp_filter', 0)
  write(host, ALIVE, 7)
  await using reconciler = host.reconciler({ auditMs: 20 })
  reconciler.want('host', [
    setting({ name: FORWARDING, value: 1 }),
    setting({ name: 'net/ipv4/conf/eth0/rp_filter', value: 2, fine: [0] }),
    setting({ name: ALIVE, value: 5, fine: 'greater' }),
  ])
  reconciler.complete()
  await reconciler.settled(soon())
  expect(read(host, FORWARDING)).toBe(1)
  expect(read(host, 'net/ipv4/conf/eth0/rp_filter')).toBe(0)
  expect(read(host, ALIVE)).toBe(7)
  expect(reconciler.report().kinds.sysctl).toMatchObject({ wanted: 3, programmed: 3, puts: 1, repairs: 0 })
  write(host, FORWARDING, 0)
  write(host, 'net/ipv4/conf/eth0/rp_filter', 1)
  write(host, ALIVE, 4)
  expect(
    (await reconciler.drift()).map(({ key, what }) => [key, what]).filter(([key]) => key === ALIVE),
  ).toEqual([[ALIVE, 'different']])
  while (reconciler.report().repairs < 3) await setTimeout(5)
  expect(read(host, FORWARDING)).toBe(1)
  expect(read(host, 'net/ipv4/conf/eth0/rp_filter')).toBe(2)
  expect(read(host, ALIVE)).toBe(5)
})

test('one of a link waits for the link, and is set again with each new one', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  const name = 'net/ipv4/conf/flannel.1/rp_filter'
  reconciler.want('host', [setting({ name, value: 2, link: 'flannel.1', undo: 'none' })])
  await reconciler.settled(soon())
  expect(reconciler.report().kinds.sysctl).toMatchObject({ blocked: 1, failing: 0 })
  reconciler.want('device', ownObjects(device()))
  reconciler.complete()
  await reconciler.settled(soon())
  expect(read(host, name)).toBe(2)
  const before = host.index('flannel.1')
  await host.sh('ip link del flannel.1')
  while (reconciler.report().repairs < 2) await setTimeout(5)
  await reconciler.settled(soon())
  expect(host.index('flannel.1')).not.toBe(before)
  expect(read(host, name)).toBe(2)
})

test('what the kernel refuses is told with the command to type, and stays', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  // Only the host's own namespace may set it.
  const name = 'net/netfilter/nf_conntrack_max'
  const have = read(host, name)
  reconciler.want('host', [setting({ name, value: have + 1, fine: 'greater' })])
  await reconciler.settled(soon())
  expect(reconciler.failures.get(`sysctl ${name}`)?.reason).toBe(
    `net.netfilter.nf_conntrack_max is ${have}, should be ${have + 1} at least (a test wants it), and can't be written (permission denied): on the host, sysctl -w net.netfilter.nf_conntrack_max=${have + 1}; and for each boot, echo 'net.netfilter.nf_conntrack_max = ${have + 1}' >> /etc/sysctl.d/90-heddle.conf`,
  )
  expect(read(host, name)).toBe(have)
})

test('a setting that this kernel hasn’t got, or whose value it refuses, is told', async () => {
  await using host = await dataplaneHost()
  await using reconciler = host.reconciler()
  const range = 'net/ipv4/ip_default_ttl'
  reconciler.want('host', [
    setting({ name: 'net/ipv4/no_such_setting', value: 1 }),
    setting({ name: 'net/no-module/setting', value: 1, module: 'heddle-no-such-module' }),
    setting({ name: range, value: 1000 }),
  ])
  await reconciler.settled(soon())
  const reason = (name: string) => reconciler.failures.get(`sysctl ${name}`)?.reason
  expect(reason('net/ipv4/no_such_setting')).toBe('this kernel has no net.ipv4.no_such_setting here')
  expect(reason('net/no-module/setting')).toMatch(
    /^the module heddle-no-such-module isn't loaded \(.+\), so that there is no .*: on the host, modprobe heddle-no-such-module;/,
  )
  expect(reason(range)).toBe(
    'net.ipv4.ip_default_ttl stays 64: the kernel refuses the value 1000 (a test wants it)',
  )
})

test('a module that is slow to load is waited for by nothing else', async () => {
  await using host = await dataplaneHost()
  const folder = mkdtempSync(join(tmpdir(), 'heddle-modprobe-'))
  writeFileSync(join(folder, 'modprobe'), '#!/bin/sh\nexec sleep 5\n', { mode: 0o755 })
  const { PATH } = process.env
  try {
    process.env['PATH'] = `${folder}:${PATH}`
    write(host, FORWARDING, 0)
    await using reconciler = host.reconciler()
    reconciler.want('host', [
      ...[1, 2, 3].map((n) => setting({ name: `net/made/up/${n}`, value: 1, module: 'made_up' })),
      setting({ name: FORWARDING, value: 1 }),
    ])
    const started = performance.now()
    await reconciler.settled(soon())
    expect(performance.now() - started).toBeLessThan(4_000)
    expect(read(host, FORWARDING)).toBe(1)
    expect(reconciler.failures.get('sysctl net/made/up/2')?.reason).toContain('modprobe has not ended yet')
  } finally {
    process.env['PATH'] = PATH
    rmSync(folder, { recursive: true })
  }
})

test('one that needs another is not written before that is so', async () => {
  await using host = await dataplaneHost()
  write(host, FORWARDING, 0)
  write(host, ALIVE, 1)
  await using reconciler = host.reconciler({ auditMs: 20 })
  const needs = [{ name: ALIVE, not: 1, else: `it would hurt: sysctl -w ${ALIVE}=2 first` }]
  reconciler.want('host', [setting({ name: FORWARDING, value: 1, needs })])
  reconciler.complete()
  await reconciler.settled(soon())
  expect(read(host, FORWARDING)).toBe(0)
  expect(reconciler.failures.get(`sysctl ${FORWARDING}`)?.reason).toBe(
    `net.ipv4.ip_forward stays 0: it would hurt: sysctl -w ${ALIVE}=2 first`,
  )
  // Both in one go, the one in need first: its turn comes last.
  reconciler.want('host', [
    setting({ name: FORWARDING, value: 1, needs }),
    setting({ name: ALIVE, value: 2 }),
  ])
  while (read(host, FORWARDING) === 0) await setTimeout(5)
  expect(read(host, ALIVE)).toBe(2)
  await reconciler.settled(soon())
  expect([...reconciler.failures]).toEqual([])
})

test('what nobody wants any more is put back where it is still as it was set, and where it may be', async () => {
  await using host = await dataplaneHost()
  const [back, changed, left] = [ALIVE, 'net/ipv4/neigh/eth0/ucast_solicit', 'net/ipv4/ip_default_ttl']
  for (const name of [back, changed, left]) write(host, name, 3)
  const former = formerSettings()
  {
    await using first = host.reconciler({ formerSettings: former })
    first.want('host', [
      setting({ name: back, value: 8, undo: 'restore' }),
      setting({ name: changed, value: 8, undo: 'restore' }),
      setting({ name: left, value: 8, undo: 'leave' }),
    ])
    first.complete()
    await first.settled(soon())
  }
  expect(former.all().map(({ name, former: was, set }) => [name, was, set])).toEqual([
    [back, 3, 8],
    [changed, 3, 8],
    [left, 3, 8],
  ])
  write(host, changed, 9)
  // As an uninstall, or a daemon with other options: nothing is wanted.
  await using second = host.reconciler({ formerSettings: former })
  expect((await second.drift()).map(({ key, what }) => `${what} ${key}`)).toEqual([`unwanted ${back}`])
  second.complete()
  await second.settled(soon())
  expect([back, changed, left].map((name) => read(host, name))).toEqual([3, 9, 8])
  expect(former.all().map(({ name }) => name)).toEqual([changed, left])
  expect(await second.drift()).toEqual([])
})

test('a link that is barred from IPv6 gets its address all the same', async () => {
  await using host = await dataplaneHost()
  await host.sh('sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0')
  const scope = {
    links: new Set(['flannel-v6.1']),
    networks: [prefix('fd00:5::/32')],
    tables: new Set<string>(),
  }
  await using reconciler = host.reconciler({ scope })
  const link = device({ name: 'flannel-v6.1', mtuBytes: 1430, vxlan: { local: ip('fd00:1::1') } })
  const bar = { name: 'net/ipv6/conf/flannel-v6.1/disable_ipv6', link: 'flannel-v6.1', undo: 'none' } as const
  // The host's default: devices come up without IPv6.
  expect(readSysctl('net/ipv6/conf/default/disable_ipv6', host.namespace)).toBe('1')
  reconciler.want('host', [setting({ ...bar, value: 0 })])
  reconciler.want('device', [link, { kind: 'address', link: link.name, ip: ip('fd00:5::'), length: 128 }])
  reconciler.complete()
  await reconciler.settled(soon())
  expect([...reconciler.failures]).toEqual([])
  expect(await host.sh('ip -6 -br addr show dev flannel-v6.1')).toContain('fd00:5::/128')
})
