// The lab, end to end, with the compiled executable: a network of hosts comes up, is proven, breaks and heals, and
// goes without a trace.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { upstreamFlanneld } from '../scripts/peers.ts'
import type { Family } from '../src/model/ip.ts'
import type { LabFacts, LabReport, PairFact } from '../src/lab/facts.ts'
import { parsePrefix } from '../src/model/prefix.ts'
import { Namespace } from '../src/sys/namespace.ts'
import { EtcdServer } from './support/etcd.ts'
import { Lab } from './support/lab.ts'

setDefaultTimeout(120_000)

const sh = (command: string): string => {
  const done = spawnSync('sh', ['-c', command], { encoding: 'utf8' })
  if (done.status !== 0) throw new Error(`${command}: ${done.stderr}`)
  return done.stdout
}
/** What of this machine's own network a lab must not touch. */
const machine = (): string =>
  sh('ip -o link; ip -o addr; ip route; ip -6 route; ip neigh show nud permanent; nft list ruleset')

const count = (report: LabFacts, kind: keyof NonNullable<LabFacts['hosts'][0]['kernel']>): number[] =>
  report.hosts.map((host) => host.kernel?.[kind].length ?? -1)
const failing = (ways: readonly PairFact[] = []): readonly string[] =>
  ways.filter((way) => !way.ok).map((way) => `${way.family} ${way.from} ${way.to}`)
const problems = (report: LabReport): string =>
  [...(report.proof?.pairs ?? []), ...(report.proof?.outside ?? [])]
    .map((way) => way.problem ?? '')
    .join('\n')

const DUAL = '10.244.0.0/16,fd00:10:244::/48'
const ofFamily = (family: Family, addresses: readonly string[] = []): string | undefined =>
  addresses.find((address) => address.includes(':') === (family === 'ipv6'))

/** Everything that is true of any lab that works. */
function expectProven(report: LabReport, hosts: number, pods: number): void {
  const families = report.parameters.network.split(',').length
  const all = hosts * pods
  expect(problems(report).trim()).toBe('')
  expect(report.proof?.ok).toBe(true)
  expect(report.proof?.pairs.length).toBe(families * all * (all - 1))
  expect(report.proof?.outside.length).toBe(families * all)
  const address = new Map(
    report.hosts.flatMap((host) => host.pods.map((pod) => [pod.name, pod.ips] as const)),
  )
  for (const way of report.proof?.pairs ?? []) {
    expect(way.seen).toBe(ofFamily(way.family, address.get(way.from)))
    expect(way.icmpMs).toBeGreaterThan(0)
    expect(way.tcpMs).toBeGreaterThan(0)
  }
  for (const way of report.proof?.outside ?? [])
    expect(way.seen).toBe(
      ofFamily(
        way.family,
        report.hosts.find((host) => host.pods.some((pod) => pod.name === way.from))?.addresses,
      ),
    )
  expect(new Set(report.hosts.flatMap((host) => host.subnets)).size).toBe(families * hosts)
  expect(report.leases?.map((lease) => lease.publicIp)).toEqual(
    report.hosts.flatMap((host) => host.addresses),
  )
  expect(report.hosts.every((host) => host.daemon.running && host.daemon.ready)).toBe(true)
}

describe('a lab of three hosts', () => {
  test('comes up proven, tells its facts, is added to by a second `up`, and goes without a trace', async () => {
    const before = machine()
    await using lab = new Lab()
    const report = lab.up()
    expectProven(report, 3, 2)
    for (const kind of ['routes', 'neighbours', 'fdb', 'nexthops'] as const)
      expect(count(report, kind)).toEqual([4, 4, 4])
    for (const kind of ['links', 'addresses'] as const) expect(count(report, kind)).toEqual([2, 2, 2])
    expect(report.hosts[0]?.kernel?.tables).toEqual([
      'ip flannel-ipv4: postrtg (6 rules), forward (2 rules)',
      'ip6 flannel-ipv6: postrtg (6 rules), forward (2 rules)',
    ])

    const again = lab.up()
    expectProven(again, 3, 2)
    expect(again.hosts.map((host) => host.daemon.pid)).toEqual(report.hosts.map((host) => host.daemon.pid))
    const other = lab.run('up', '--json', '--hosts', '5')
    expect([other.status, JSON.parse(other.stdout)]).toMatchObject([1, { error: { code: 'differs' } }])
    expect(lab.run('up', '--hosts', '-1')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--hosts -1: want a whole number from 1 to 100'),
    })

    const status = lab.status()
    expect(status.hosts[1]?.kernel).toEqual(report.hosts[1]?.kernel)
    const logs = lab.logs()
    expect(Object.keys(logs)).toEqual(['h1', 'h2', 'h3', 'store'])
    expect(logs['h2']?.join('\n')).toContain('flannel is ready')
    expect(lab.run('logs', 'h2').stdout.trimEnd()).toBe((logs['h2'] ?? []).join('\n'))

    const down = lab.down()
    expect(down).toMatchObject({ wasUp: true, processes: 4, namespaces: 12, warnings: [] })
    expect(lab.remains()).toEqual([])
    expect(machine()).toBe(before)
    expect(lab.down()).toMatchObject({ wasUp: false, processes: 0 })
    expect(lab.run('check', '--json').stdout).toContain('"not-up"')
  })

  test('has what is missing added by `up`', async () => {
    await using lab = new Lab()
    const report = lab.up('--pods', '1')
    const lost = [report.hosts[0]?.daemon.pid, report.store.pid]
    for (const pid of lost) process.kill(pid ?? -1, 'SIGKILL')
    Namespace.remove(join(lab.directory, 'net', 'h2p1'))
    expect(lab.run('status').status).toBe(1)
    const again = lab.up()
    expectProven(again, 3, 1)
    expect(lost).not.toContain(again.hosts[0]?.daemon.pid)
    expect(again.hosts.map((host) => host.subnets)).toEqual(report.hosts.map((host) => host.subnets))
  })

  test('names a pod that no longer hangs on its host, and `up` makes it anew', async () => {
    await using lab = new Lab()
    const report = lab.up('--hosts', '2')
    const [gone, lost] = ['ip link del cni0', 'ip addr flush dev eth0']
    const veth = `ip -br link show type veth | grep -o 'veth[0-9a-f]*' | head -1`
    for (const [where, command, cause, remade] of [
      ['h1', gone, 'h1 has no cni0', 2],
      ['h1', `ip link set "$(${veth})" nomaster`, / of h1p[12] is not on cni0/, 1],
      ['h1', `ip link del "$(${veth})"`, /h1 has no veth\w+ of h1p[12]/, 1],
      ['h1', 'ip link set cni0 down', 'cni0 of h1 is down', 1],
      ['h1', 'ip -6 addr flush dev cni0 scope global', 'cni0 of h1 has lost its address fd00:10:244:', 1],
      ['h2p1', lost, /eth0 of h2p1 has lost its address/, 1],
    ] as const) {
      lab.run('exec', where, '--', 'sh', '-c', command)
      const told = lab.run('status')
      expect(told.status).toBe(1)
      expect(told.stdout).toMatch(cause)
      const again = lab.run('up')
      expect(again.status).toBe(0)
      expect(again.stderr).toContain(`4 pods, ${remade} of them made anew by the CNI plugin`)
    }
    expectProven(lab.check(), 2, 2)
    expect(lab.status().hosts.map((host) => host.daemon.pid)).toEqual(
      report.hosts.map((host) => host.daemon.pid),
    )
  })

  test('has pods made anew on a host that was given another subnet', async () => {
    await using lab = new Lab()
    const report = lab.up('--hosts', '2', '--network', '10.99.0.0/16')
    process.kill(lab.pid('h1'), 'SIGKILL')
    expect(lab.run('exec', 'h1', '--', 'heddle', 'uninstall', '--force').stdout).toContain('lease')
    // Else it might be given the same one again.
    const subnet = String(parsePrefix(report.hosts[0]?.subnets[0] ?? ''))
    const key = `/coreos.com/network/subnets/${subnet.replace('/', '-')}`
    const stranger = '{"PublicIP":"192.168.100.99","BackendType":"host-gw"}'
    const etcdctl = (words: string) => `ETCDCTL_API=3 etcdctl --endpoints ${report.store.endpoint} ${words}`
    const inStore = (words: string) => lab.run('exec', 'store', '--', 'sh', '-c', etcdctl(words))
    expect(inStore(`put '${key}' '${stranger}'`).stdout).toContain('OK')
    const again = lab.run('up')
    expect([again.status, again.stderr]).toEqual([
      0,
      expect.stringContaining('4 pods, 2 of them made anew by the CNI plugin'),
    ])
    inStore(`del '${key}'`)
    const now = lab.check()
    expectProven(now, 2, 2)
    expect(now.hosts[0]?.subnets).not.toEqual(report.hosts[0]?.subnets)
  })

  test('shows what is broken, and that it heals', async () => {
    await using lab = new Lab()
    const report = lab.up('--pods', '1')
    const inHost = (host: string, command: string) =>
      expect(lab.run('exec', host, '--', 'sh', '-c', command)).toMatchObject({ status: 0 })

    for (const harm of ['ip link del flannel.1', 'ip link del flannel-v6.1', 'ip nexthop flush']) {
      inHost('h1', harm)
      expectProven(lab.check(), 3, 1)
    }

    inHost('underlay', 'ip link set h3 down')
    const cut = lab.run('check', '--json')
    expect(cut.status).toBe(1)
    const { proof } = JSON.parse(cut.stdout) as LabReport
    const cutOff = ['h1p1 h3p1', 'h2p1 h3p1', 'h3p1 h1p1', 'h3p1 h2p1']
    expect(failing(proof?.pairs)).toEqual([
      ...cutOff.map((way) => `ipv4 ${way}`),
      ...cutOff.map((way) => `ipv6 ${way}`),
    ])
    expect(failing(proof?.outside)).toEqual(['ipv4 h3p1 outside', 'ipv6 h3p1 outside'])
    const { stdout, stderr } = lab.run('check')
    expect(stderr).toContain('10 of 18 ways failed')
    expect(stdout).toContain('10 of 18 ways\n')
    inHost('underlay', 'ip link set h3 up')
    expectProven(lab.check(), 3, 1)

    const [ipv4, ipv6] = report.hosts[0]?.pods[0]?.ips ?? []
    for (const [family, pod, network] of [
      ['ip', ipv4, '10.244.0.0/16'],
      ['ip6', ipv6, 'fd00:10:244::/48'],
    ])
      inHost(
        'h1',
        `nft add table ${family} t && nft 'add chain ${family} t c { type nat hook postrouting priority 50; }' && nft add rule ${family} t c ${family} saddr ${pod} ${family} daddr ${network} masquerade`,
      )
    const translated = problems(JSON.parse(lab.run('check', '--json').stdout) as LabReport)
    for (const pod of [ipv4, ipv6]) expect(translated).toMatch(new RegExp(`seen as \\S+, not as ${pod}`))
  })

  test('by host-gw has plain routes and no tunnel', async () => {
    await using lab = new Lab()
    const report = lab.up('--backend', 'host-gw', '--network', '10.99.0.0/16,fd00:99::/48')
    expectProven(report, 3, 2)
    for (const kind of ['links', 'neighbours', 'fdb', 'nexthops'] as const)
      expect(count(report, kind)).toEqual([0, 0, 0])
    for (const [i, subnet] of (report.hosts[1]?.subnets ?? []).entries())
      expect(report.hosts[0]?.kernel?.routes).toContain(
        `${parsePrefix(subnet)} via ${report.hosts[1]?.addresses[i]} dev eth0`,
      )
  })

  for (const [name, network] of [
    ['IPv4', '10.99.0.0/16'],
    ['IPv6', 'fd00:99::/48'],
  ] as const)
    test(`may have ${name} alone, by either back end`, async () => {
      for (const backend of ['vxlan', 'host-gw']) {
        await using lab = new Lab()
        const report = lab.up('--network', network, '--backend', backend, '--hosts', '2', '--pods', '1')
        expectProven(report, 2, 1)
        expect(report.hosts.flatMap((host) => host.addresses)).toHaveLength(2)
        expect(count(report, 'routes')).toEqual([1, 1])
        expect(report.hosts[0]?.kernel?.tables).toHaveLength(1)
        expect(lab.run('status').status).toBe(0)
        lab.down()
        expect(lab.remains()).toEqual([])
      }
    })

  test('may have one that runs upstream flanneld', async () => {
    await using lab = new Lab()
    const report = lab.up('--peer', `h2=${upstreamFlanneld}`)
    expectProven(report, 3, 2)
    expect(report.hosts.map((host) => host.daemon.program)).toEqual(['heddle', upstreamFlanneld, 'heddle'])
    expect(lab.run('exec', 'h2', '--', 'heddle', 'config', 'show').stdout).toMatch(
      new RegExp(`subnet-file +${lab.directory}/hosts/h2/subnet.env`),
    )
    expect(lab.run('exec', 'h2', '--', 'heddle', 'drift').stdout).not.toContain('missing neigh')
  })
})

test('sixteen hosts come up and go', async () => {
  await using lab = new Lab()
  const report = lab.up('--hosts', '16')
  expectProven(report, 16, 2)
  expect(count(report, 'routes')).toEqual(Array<number>(16).fill(30))
  expect(lab.down()).toMatchObject({ processes: 17, namespaces: 51 })
  expect(lab.remains()).toEqual([])
})

describe('where IPv6', () => {
  const inNetwork = (script: string) => [
    'unshare',
    '--net',
    '--mount',
    'sh',
    '-ec',
    `${script}; exec "$@"`,
    'sh',
  ]
  const off = 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6'
  const absent = 'mount -t tmpfs none /proc/sys/net/ipv6'
  const small = ['--hosts', '2', '--pods', '1'] as const

  test.each([
    ['is switched off', off, 'switched off here (net.ipv6.conf.all.disable_ipv6=1): the lab is IPv4 alone'],
    ['is not in the kernel', absent, 'this kernel has none: the lab is IPv4 alone'],
  ])('%s, a lab says so and does without', async (_how, script, sentence) => {
    await using lab = new Lab()
    const { status, stderr } = lab.within(inNetwork(script), 'up', ...small)
    expect([status, stderr]).toEqual([0, expect.stringContaining(sentence)])
    expect(lab.status().parameters.network).toBe('10.244.0.0/16')
    expect(lab.within(inNetwork(script), 'up', ...small).status).toBe(0)
    expectProven(lab.check(), 2, 1)
  })

  test('is switched off, a lab that is asked for has it all the same', async () => {
    await using lab = new Lab()
    const told = lab.within(inNetwork(off), 'up', '--json', ...small, '--network', DUAL)
    expectProven(JSON.parse(told.stdout) as LabReport, 2, 1)
  })

  test('is not in the kernel, a lab that asks for it is refused before anything is made', async () => {
    await using lab = new Lab()
    expect(lab.within(inNetwork(absent), 'up', '--network', DUAL)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('this kernel has no IPv6; want an IPv4 network such as'),
    })
    expect(lab.remains()).toEqual([])
  })
})

describe('exec', () => {
  for (const user of [false, true])
    test(`shows ${user ? 'an ordinary user' : 'root'} in /sys the links of the network that is named, and mounts nothing elsewhere`, async () => {
      const mounts = () => readFileSync('/proc/self/mounts', 'utf8').match(/^sysfs .*$/gm)
      const before = mounts()
      await using lab = new Lab({ user })
      lab.up('--hosts', '1', '--pods', '1')
      const links = (name: string) => lab.run('exec', name, '--', 'ls', '/sys/class/net').stdout.split('\n')
      expect(links('h1')).toEqual([
        'cni0',
        'eth0',
        'flannel-v6.1',
        'flannel.1',
        'lo',
        expect.stringMatching(/^veth/),
        '',
      ])
      expect(links('h1p1')).toEqual(['eth0', 'lo', ''])
      lab.down()
      expect(mounts()).toEqual(before)
    })

  test("gives a command on a host that host's flanneld to ask: heddle's tools, and the CNI plugin's STATUS", async () => {
    await using lab = new Lab()
    const report = lab.up('--hosts', '2', '--pods', '1')
    process.env['FLANNELD_SUBNET_FILE'] = '/nowhere'
    try {
      expect(lab.run('exec', 'h1', '--', 'heddle', 'drift')).toMatchObject({
        status: 0,
        stdout: expect.stringContaining('nothing differs'),
      })
      for (const ip of report.hosts[1]?.pods[0]?.ips ?? [])
        expect(lab.run('exec', 'h1', '--', 'heddle', 'explain', ip)).toMatchObject({
          status: 0,
          stdout: expect.stringContaining('nothing is missing'),
        })
      expect(lab.run('exec', 'h2', '--', 'heddle', 'config', 'show').stdout).toMatch(
        new RegExp(`subnet-file +${lab.directory}/hosts/h2/subnet.env`),
      )
    } finally {
      delete process.env['FLANNELD_SUBNET_FILE']
    }
    const host = join(lab.directory, 'hosts', 'h1')
    const config = JSON.stringify({
      cniVersion: '1.1.0',
      name: 'cbr0',
      type: 'flannel',
      subnetFile: join(host, 'subnet.env'),
      statusSocket: join(host, 'flanneld.sock'),
    })
    const status = () =>
      lab.run('exec', 'h1', '--', 'sh', '-c', `echo '${config}' | CNI_COMMAND=STATUS CNI_PATH=/x flannel`)
    expect(status()).toMatchObject({ status: 0, stdout: '' })
    process.kill(lab.pid('h1'), 'SIGKILL')
    expect(status()).toMatchObject({ status: 1, stdout: expect.stringContaining('"code": 50') })
  })

  test("runs in the network that is named, with the command's exit code and input", async () => {
    await using lab = new Lab()
    const report = lab.up('--hosts', '1', '--pods', '1')
    const { name, ips } = report.hosts[0]?.pods[0] ?? { name: '', ips: [] }
    expect(lab.run('exec', name, '--', 'ip', '-br', 'addr', 'show', 'eth0').stdout).toContain(
      ` ${ips[0]}/24 `,
    )
    expect(lab.run('exec', 'h1', '--', 'ip', '-br', 'addr', 'show', 'eth0').stdout).toContain(
      ' 192.168.100.1/24 ',
    )
    expect(lab.run('exec', 'h1', '--', 'sh', '-c', 'exit 7').status).toBe(7)
    expect(lab.run('exec', 'h1', '--', 'sh', '-c', 'kill -TERM $$').status).toBe(143)
    expect(lab.run('exec', 'h1', '--', 'no-such-command')).toMatchObject({ status: 127 })
    const unknown = lab.run('exec', 'h9', '--', 'true')
    expect(unknown.status).toBe(2)
    expect(unknown.stderr).toContain('the lab has no h9; it has hosts h1, their pods')
  })
})

describe('an interrupted `up`', () => {
  // Written when the store, the first host's daemon and its first pod have been begun.
  for (const file of ['run/store.json', 'run/h1.json', 'hosts/h1/pods'])
    for (const user of [false, true])
      test(`at ${file}${user ? ' of an ordinary user' : ''} takes back what it began, and killed leaves it to down`, async () => {
        const before = machine()
        await using lab = new Lab({ user })
        expect(await lab.interrupt(file, 'SIGINT')).toBe(130)
        expect(lab.remains()).toEqual([])
        await lab.interrupt(file, 'SIGKILL')
        expect(lab.run('down')).toMatchObject({ status: 0 })
        expect(lab.remains()).toEqual([])
        expect(machine()).toBe(before)
      })
})

describe('an ordinary user', () => {
  test('has a lab too', async () => {
    const before = machine()
    await using lab = new Lab({ user: true })
    expectProven(lab.up(), 3, 2)
    expectProven(lab.check(), 3, 2)
    expect(lab.run('exec', 'h2p1', '--', 'sh', '-c', 'cat; exit 3').status).toBe(3)
    expect(lab.status().complete).toBe(true)
    expect(lab.run('logs', 'store').stdout).toContain('serving')

    process.kill(lab.pid('holder'), 'SIGKILL')
    expect(lab.run('check')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('the process that held this lab is gone'),
    })
    expectProven(lab.up(), 3, 2)
    expect(lab.down()).toMatchObject({ wasUp: true, processes: 5, namespaces: 12 })
    expect(lab.remains()).toEqual([])
    expect(machine()).toBe(before)
  })
})

// Without a network namespace of its own; with one, and without a mount namespace; with both.
for (const flags of ['-Ur', '-Urn', '-Urm', '-Urnm'])
  test(`root of a user namespace made by unshare ${flags} has a lab, and nothing is left of it`, async () => {
    await using lab = new Lab({ user: true })
    const script =
      '"$0" lab up --json --hosts 1 --pods 1 --dir "$1" && "$0" lab check --dir "$1" && "$0" lab down --dir "$1"'
    const done = lab.inUserNamespace(flags, script)
    expect(done).toMatchObject({ status: 0, stdout: expect.stringContaining('the lab is gone') })
    expect(lab.remains()).toEqual([])
  })

test('a start that is refused before anything is begun says so in a sentence, and leaves nothing', async () => {
  await using lab = new Lab({ user: true })
  const path = lab.toolsInFront({
    unshare: '#!/bin/sh\necho unshare failed: Operation not permitted >&2\nexit 1\n',
  })
  const { status, stderr } = lab.within(['env', `PATH=${path}`], 'up')
  expect(status).toBe(1)
  expect(stderr).toContain('does not let an ordinary user make user namespaces')
  expect(stderr).not.toContain('0 processes')
  expect(lab.remains()).toEqual([])
})

test('a holder that is slow to begin is waited for, though the log holds the word of one before', async () => {
  await using lab = new Lab({ user: true })
  lab.up('--hosts', '1', '--pods', '1')
  process.kill(lab.pid('holder'), 'SIGKILL')
  const path = lab.toolsInFront({ unshare: '#!/bin/sh\nsleep 0.5\nexec /usr/bin/unshare "$@"\n' })
  expect(lab.within(['env', `PATH=${path}`], 'up', '--json')).toMatchObject({ status: 0, stderr: '' })
})

test('an `up` with a new build puts it in place of the old one', async () => {
  await using lab = new Lab({ user: true })
  const pids = (report: LabReport) => [report.store.pid, report.hosts[0]?.daemon.pid]
  const before = pids(lab.up('--hosts', '1', '--pods', '1'))
  expect(pids(lab.up())).toEqual(before)
  lab.rebuild()
  const after = lab.up()
  expectProven(after, 1, 1)
  for (const pid of before) expect(pids(after)).not.toContain(pid)
})

describe("this machine's etcd", () => {
  test('serves as the store, and keeps nothing of the lab', async () => {
    await using etcd = await EtcdServer.start('etcd', { inMemory: true })
    const keys = () => sh(`ETCDCTL_API=3 etcdctl --endpoints ${etcd.endpoint} get --prefix / --keys-only`)
    for (const user of [false, true]) {
      await using lab = new Lab({ user })
      const report = lab.up('--store', `etcd://${etcd.host}:${etcd.port}`)
      expectProven(report, 3, 2)
      expect(keys().match(/^\/heddle-lab\/\w+\/subnets\/\S+$/gm)?.length).toBe(3)
      expect(lab.down().warnings).toEqual([])
      expect(keys().trim()).toBe('')
      expect(lab.remains()).toEqual([])
    }
  })

  test('that does not answer is told before anything is made', async () => {
    await using lab = new Lab()
    const { status, stderr } = lab.run('up', '--store', 'etcd://127.0.0.1:1')
    expect(status).toBe(1)
    expect(stderr).toContain("--store etcd://127.0.0.1:1 can't be used")
    expect(lab.remains()).toEqual([])
  })
})

test('a host that does not get ready is named, with the end of its log', async () => {
  await using lab = new Lab()
  const { status, stderr } = lab.run('up', '--peer', 'h2=/bin/false')
  expect(status).toBe(1)
  expect(stderr).toContain('h2: its flanneld ended with exit status 1; the end of its log')
  expect(stderr).toContain('`heddle lab down` removes it')
  const told = lab.run('status')
  expect(told.status).toBe(1)
  expect(told.stdout).toMatch(/h2 .* -  +not running: `heddle lab up` starts it again/)
})

test('a peer that is not there is told before anything is made', async () => {
  await using lab = new Lab()
  expect(lab.run('up', '--peer', 'h2=/no/such/flanneld')).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('--peer h2=/no/such/flanneld: there is no such file'),
  })
  expect(lab.remains()).toEqual([])
})

test('a lab that was made in a mount namespace of its own is found from outside', async () => {
  await using lab = new Lab()
  expect(lab.within(['unshare', '--mount'], 'up', '--hosts', '2', '--pods', '1')).toMatchObject({ status: 0 })
  expectProven(lab.check(), 2, 1)
  expect(lab.run('exec', 'h1p1', '--', 'true').status).toBe(0)
  lab.run('down')
  expect(lab.remains()).toEqual([])
})
