// After an uninstall a host is as it was before the first start, whatever ran on it; what isn't flannel's was never
// touched, and what only might be is named.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { claimInstance } from '../../src/daemon/instance-lock.ts'
import { FLANNELD, HEDDLE } from '../support/executable.ts'
import { Flanneld } from '../support/flanneld.ts'
import { hostState } from '../support/host-state.ts'
import { eventually } from '../support/process.ts'
import { Segment, type Host } from '../support/segment.ts'
import { CONFIG_KEY, leaseKey, networkConfig, TestStore, vxlanLease } from '../support/stores.ts'

setDefaultTimeout(60_000)

const PEERS = ['10.244.20.0/24', '10.244.21.0/24']

/** In the host's network namespace; /var/lib and /run are its own, so that this machine's state is out of reach. */
function run(host: Host, command: string, words: readonly string[]) {
  const script = 'mount -t tmpfs none /var/lib; mount -t tmpfs none /run; exec "$@"'
  const args = [
    '--net=' + host.namespace.path,
    'unshare',
    '--mount',
    'sh',
    '-ec',
    script,
    'sh',
    command,
    ...words,
  ]
  const done = spawnSync('nsenter', args, { encoding: 'utf8', timeout: 30_000 })
  return {
    status: done.status,
    lines: done.stdout.split('\n').filter((line) => line !== ''),
    err: done.stderr,
  }
}
const flagsOf = (host: Host, store: { endpoint: string }) => [
  `--etcd-endpoints=${store.endpoint}`,
  `--subnet-file=${host.subnetFile}`,
  `--status-socket=${host.statusSocket}`,
  `--state-dir=${host.stateDir}`,
  '--config-file=',
]
const uninstall = (host: Host, store: { endpoint: string }, ...words: string[]) =>
  run(host, HEDDLE, ['uninstall', ...words, '--', ...flagsOf(host, store)])
const cleanup = (host: Host, store: { endpoint: string }, ...words: string[]) =>
  run(host, FLANNELD, ['--cleanup', ...flagsOf(host, store), ...words])

test('weak point 50: a host of VXLAN devices, old and new, is as it was: the dry run told, the real one did', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan', VNI: 7 }))
  const before = await hostState(host)
  for (const [i, peer] of PEERS.entries())
    store.put(leaseKey(peer), vxlanLease(`192.168.100.8${i}`, `02:42:00:00:00:8${i}`))
  const peers = new Map(store.leases())
  // A former VNI, whose device stays behind: nothing shows the next flanneld that it was this one's.
  const first = await Flanneld.start(host, store, { args: ['--ip-masq'] })
  await first.end('SIGTERM')
  await host.sh('ip addr flush dev flannel.7')
  store.put(CONFIG_KEY, networkConfig({ Type: 'vxlan' }))
  for (const [i, peer] of PEERS.entries()) {
    const lease = vxlanLease(`192.168.100.8${i}`, `02:42:00:00:00:8${i}`)
    store.put(leaseKey(peer), lease)
  }
  const second = await Flanneld.start(host, store, { args: ['--ip-masq'] })
  await eventually('both peers are there', async () =>
    (await host.sh('ip route show dev flannel.1')).split('\n').length > 2 ? true : undefined,
  )
  const pod = await host.pod()
  await second.end('SIGKILL')
  const { subnet } = host
  const after = await hostState(host)

  // With a pod on it the bridge stays, and so it's said.
  const busy = cleanup(host, store, '--dry-run')
  expect(busy.status).toBe(0)
  expect(busy.lines.join('\n')).toContain('left: bridge cni0 and the CNI plugin')
  expect(busy.lines.join('\n')).not.toContain('remove bridge')
  await pod.sh('ip link del eth0')

  const dry = uninstall(host, store, '--dry-run')
  expect(dry).toMatchObject({ status: 0, err: '' })
  expect((await hostState(host)).replaceAll(/^.*pod0.*$/gm, '')).toContain('flannel.7')
  const real = uninstall(host, store)
  expect(real).toMatchObject({ status: 0, err: '' })
  expect(real.lines).toEqual(dry.lines.map((line) => line.replace(/^would remove/, 'removed')))
  expect(real.lines).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^removed device flannel\.7\b/),
      expect.stringMatching(
        /^removed device flannel\.1 with 1 address, 2 neighbours, 2 FDB entries, 2 next hops$/,
      ),
      ...PEERS.map((peer) => `removed route ${peer}`),
      'removed nf_tables table ip flannel-ipv4',
      'removed bridge cni0',
      `removed lease ${leaseKey(subnet)} in etcd ${store.endpoint} under /coreos.com/network`,
      `removed file ${host.subnetFile}`,
      `removed file ${host.subnetFile}.lock`,
      `removed file ${host.statusSocket}`,
    ]),
  )
  expect(after).not.toBe(before)
  expect(await hostState(host)).toBe(before)
  expect(store.leases()).toEqual(peers)
  expect(uninstall(host, store)).toEqual({
    status: 0,
    lines: ["nothing of flannel's is on this host"],
    err: '',
  })
  // And may begin anew.
  await using again = await Flanneld.start(host, store)
  expect((await again.report()).ready).toBe(true)
})

for (const [what, away] of [
  ['that is gone', (store: TestStore) => store.server.kill()],
  ['that hangs', (store: TestStore) => store.server.freeze()],
] as const)
  test(`with a store ${what} the rest goes all the same, and soon; host-gw`, async () => {
    await using segment = await Segment.create(1)
    const host = segment.host(1)
    await using store = await TestStore.start('embedded', segment, networkConfig({ Type: 'host-gw' }))
    const before = await hostState(host)
    store.put(
      leaseKey(PEERS[0] ?? ''),
      '{"PublicIP":"192.168.100.80","PublicIPv6":null,"BackendType":"host-gw"}',
    )
    const flanneld = await Flanneld.start(host, store, { args: ['--ip-masq'] })
    await eventually('the peer has its route', async () =>
      (await host.sh('ip route')).includes(PEERS[0] ?? '') ? true : undefined,
    )
    await flanneld.end('SIGTERM')
    const own = leaseKey(host.subnet)
    await away(store)
    const began = performance.now()
    const done = cleanup(host, store)
    expect(performance.now() - began).toBeLessThan(15_000)
    expect(done.status).toBe(0)
    expect(done.lines).toContain(`removed route ${PEERS[0]}`)
    expect(done.lines.find((line) => line.startsWith('left: '))).toMatch(
      new RegExp(
        `^left: the lease in etcd \\S+ under \\S+, if there is one: .*\\. It ends by itself within a day, or at once by etcdctl del '${own}'; where that is not flanneld's store, give flanneld's own --etcd-… flags$`,
      ),
    )
    expect(await hostState(host)).toBe(before)
  })

test('flanneld’s own folders go too, once they are empty', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('embedded', segment, networkConfig({ Type: 'host-gw' }))
  const before = await hostState(host)
  const [runHeddle, runFlannel] = [`${host.folder}/run/heddle`, `${host.folder}/run/flannel`]
  const flags = [`--status-socket=${runHeddle}/flanneld.sock`, `--subnet-file=${runFlannel}/subnet.env`]
  const flanneld = Flanneld.launch(host, store, { args: flags })
  await flanneld.process.line(/flannel is ready/)
  // The socket goes with it, its folder stays.
  await flanneld.end('SIGTERM')
  const dry = cleanup(host, store, '--dry-run', ...flags)
  const { lines } = cleanup(host, store, ...flags)
  expect(lines).toEqual(dry.lines.map((line) => line.replace(/^would remove/, 'removed')))
  expect(lines).toContain(`removed folder ${runHeddle}`)
  expect(await hostState(host)).toBe(`${before}run d`)
})

test('while a flanneld runs it is refused, unless forced', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
  await using flanneld = await Flanneld.start(host, store)
  const before = await hostState(host)
  const { subnet } = host
  const running = `flanneld runs here (process ${flanneld.process.pid}): stop it first, or give --force`
  expect(uninstall(host, store)).toEqual({ status: 1, lines: [`refused: ${running}`], err: '' })
  const dry = uninstall(host, store, '--dry-run')
  expect(dry.status).toBe(0)
  expect(dry.lines[0]).toBe(`note: without --dry-run it is refused: ${running}`)
  expect(await hostState(host)).toBe(before)
  expect(store.leases().size).toBe(1)
  const forced = uninstall(host, store, '--force')
  expect(forced.lines.join('\n')).toContain(`removed lease ${leaseKey(subnet)}`)
  expect(forced.lines.join('\n')).toMatch(
    /^(removed|failed:) device flannel\.1 [^:]*(: it is there again: somebody puts it back)?$/m,
  )
  // It heals what it can.
  await eventually('the device and the lease are back', async () =>
    (await host.sh('ip link')).includes('flannel.1') && store.leases().size === 1 ? true : undefined,
  )
})

test('what isn’t flannel’s stays, and what might be is named', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
  await host.sh(`
    ip link add flannel.5 type vxlan id 9 local ${host.ip} dev eth0 dstport 4789 nolearning; ip link set flannel.5 up
    ip link add vxlan7 type vxlan id 7 local ${host.ip} dev eth0 dstport 4790 nolearning; ip link set vxlan7 up
    # The second one has an id of ours, and another's protocol.
    ip nexthop add id 9 via 192.168.100.200 dev eth0
    ip nexthop add id 1744830465 via 192.168.100.200 dev eth0 proto static
    ip route add 10.77.0.0/24 nhid 9
    ip route add 10.244.80.0/24 via 192.168.100.200 proto static
    ip route add 10.244.82.0/24 via 192.168.100.200 table 77 proto 104
    ip link add br7 type bridge; ip link add cni1 type bridge
    nft add table ip mine; nft add table inet flannel-ipv4
    iptables-nft -t nat -A POSTROUTING -s 10.9.0.0/24 -j MASQUERADE; iptables-nft -A FORWARD -s 10.9.0.0/24 -j DROP`)
  await eventually('addresses are settled', async () =>
    (await host.sh('ip addr show tentative')).includes('inet6') ? undefined : true,
  )
  const foreign = await hostState(host)
  const flanneld = await Flanneld.start(host, store)
  await flanneld.end('SIGKILL')
  await host.sh(`ip route add 10.244.81.0/24 via 192.168.100.201
    # As upstream's flanneld has them.
    iptables-nft -t nat -N FLANNEL-POSTRTG; iptables-nft -t nat -A POSTROUTING -j FLANNEL-POSTRTG
    iptables-nft -N FLANNEL-FWD; iptables-nft -I FORWARD -j FLANNEL-FWD`)
  const done = uninstall(host, store)
  expect(done.status).toBe(0)
  expect(done.lines).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^left: route 10\.244\.81\.0\/24: made by upstream's host-gw or by hand/),
      'removed chain FLANNEL-POSTRTG of iptables-nft -t nat',
      'removed chain FLANNEL-FWD of iptables-nft -t filter',
    ]),
  )
  await host.sh('ip route del 10.244.81.0/24')
  expect(await hostState(host)).toBe(foreign)
})

test('another host’s lease at an address that is ours now stays; a reservation is named', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
  const flanneld = await Flanneld.start(host, store)
  await flanneld.end('SIGTERM')
  const { subnet } = host
  const own = store.leases().get(leaseKey(subnet)) ?? ''
  const other = vxlanLease(host.ip, '02:42:00:00:00:99')
  store.put(leaseKey('10.244.30.0/24'), other)
  // Without an etcd lease: an operator's.
  store.put(leaseKey(subnet), own)
  const done = uninstall(host, store)
  expect(done.status).toBe(0)
  expect(done.lines.join('\n')).toContain(`left: lease ${leaseKey(subnet)} in etcd`)
  expect(store.leases().get(leaseKey('10.244.30.0/24'))).toBe(other)
  expect(store.leases().size).toBe(2)
})

test('what upstream’s flanneld left goes too', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
  const before = await hostState(host)
  store.put(leaseKey(PEERS[0] ?? ''), vxlanLease('192.168.100.80', '02:42:00:00:00:80'))
  const peers = new Map(store.leases())
  const upstream = await Flanneld.start(host, store, { make: 'upstream', args: ['--ip-masq'] })
  await eventually('the peer has its route', async () =>
    (await host.sh('ip route')).includes('10.244.20.0') ? true : undefined,
  )
  expect(uninstall(host, store)).toMatchObject({ status: 1 })
  await upstream.end('SIGKILL')
  const done = uninstall(host, store)
  expect(done).toMatchObject({ status: 0, err: '' })
  expect(store.leases()).toEqual(peers)
  expect(await hostState(host)).toBe(before)
})

test('pods’ state goes with the last pod, others’ stays', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
  const flanneld = await Flanneld.start(host, store)
  const gateway = host.podGateway
  const { subnet } = host
  await flanneld.end('SIGTERM')
  const at = (last: number) => gateway.replace(/\.1$/, `.${last}`)
  const conf = (range: string) =>
    JSON.stringify({ type: 'bridge', ipam: { type: 'host-local', ranges: [[{ subnet: range }]] } })
  const lib = `${host.folder}/lib`
  for (const [path, text] of Object.entries({
    'cni/flannel/pod1-eth0': conf(subnet),
    'cni/flannel/pod2': conf(subnet),
    'cni/networks/cbr0/lock': '',
    'cni/networks/cbr0/last_reserved_ip.0': at(3),
    [`cni/networks/cbr0/${at(2)}`]: 'pod1\neth0',
    'cni/networks/mixed/lock': '',
    [`cni/networks/mixed/${at(9)}`]: 'pod9\neth0',
    'cni/networks/mixed/10.9.9.9': 'pod7\neth0',
    'cni/flannel/other': conf('10.99.0.0/24'),
    'cni/flannel/what': 'no JSON',
  })) {
    mkdirSync(`${lib}/${path}`.replace(/\/[^/]*$/, ''), { recursive: true })
    writeFileSync(`${lib}/${path}`, text)
  }
  const script = `mount --bind ${lib} /var/lib; exec "$@"`
  const words = [
    'unshare',
    '--mount',
    'sh',
    '-ec',
    script,
    'sh',
    HEDDLE,
    'uninstall',
    '--',
    ...flagsOf(host, store),
  ]
  const done = spawnSync('nsenter', ['--net=' + host.namespace.path, ...words], { encoding: 'utf8' })
  expect(done).toMatchObject({ status: 0, stderr: '' })
  expect((await host.sh(`cd ${lib}; find . -type f | sort`)).trim().split('\n')).toEqual([
    './cni/flannel/other',
    './cni/flannel/what',
    './cni/networks/mixed/10.9.9.9',
    './cni/networks/mixed/lock',
  ])
  expect(existsSync(`${lib}/cni/networks/cbr0`)).toBe(false)
})

test('a dry run is one wherever it is asked for, and a word too many removes nothing', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
  const flanneld = await Flanneld.start(host, store)
  await flanneld.end('SIGKILL')
  const [before, leases] = [await hostState(host), store.leases()]
  const flags = flagsOf(host, store)
  for (const [command, ...words] of [
    [HEDDLE, 'uninstall', '--', ...flags, '--dry-run'],
    [HEDDLE, 'uninstall', '--', ...flags, '--iface', '--dry-run'],
    [HEDDLE, 'uninstall', '--dry-run', '--', ...flags],
    [FLANNELD, '--cleanup', '--dry-run', ...flags],
  ] as const) {
    const { status, lines, err } = run(host, command, words)
    expect([status, err]).toEqual([0, ''])
    expect(lines).toContain('would remove device flannel.1 with 1 address')
  }
  for (const [command, words, sentence] of [
    [HEDDLE, ['uninstall', 'dry-run'], 'heddle: dry-run is one word too many; see --help\n'],
    [HEDDLE, ['uninstall', 'dry-run', '--', ...flags], 'heddle: dry-run is one word too many; see --help\n'],
    [
      HEDDLE,
      ['uninstall', '--', ...flags, 'dry-run'],
      'heddle: there is a word too many behind --config-file',
    ],
    [
      FLANNELD,
      ['--cleanup', ...flags, '--ip-masq', 'true', '--dry-run'],
      'too many behind --ip-masq; a boolean',
    ],
  ] as const) {
    const { status, lines, err } = run(host, command, words)
    expect([status, lines]).toEqual([2, []])
    expect(err).toContain(sentence)
  }
  expect(await hostState(host)).toBe(before)
  expect(store.leases()).toEqual(leases)

  // One in another network namespace, with the same files.
  {
    using _ = claimInstance(host.subnetFile)
    expect(uninstall(host, store, '--dry-run').lines[0]).toBe(
      `note: without --dry-run it is refused: another flanneld (process ${process.pid}) keeps ${host.subnetFile}: stop it first, or give --force`,
    )
  }
  await host.sh('ip link add cni0 type bridge')
  expect(uninstall(host, store).status).toBe(0)
  expect(uninstall(host, store).lines).toEqual([
    "left: bridge cni0: whether it was made for pods can't be told (ip link del cni0)",
    "nothing else of flannel's is on this host",
  ])
})
