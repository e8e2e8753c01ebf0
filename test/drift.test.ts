// `heddle drift`: each harm is named, by whoever knows what should be there, and nothing is once it is healed. It reads
// only.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { createServer } from 'node:http'
import type { DriftReport } from '../src/status/drift/report.ts'
import { HEDDLE } from './support/executable.ts'
import { Flanneld } from './support/flanneld.ts'
import { HOST_GW_HARMS, VXLAN_HARMS } from './support/harm.ts'
import { hostState } from './support/host-state.ts'
import { eventually, Running } from './support/process.ts'
import { Segment, type Host } from './support/segment.ts'
import { CONFIG_KEY, leaseKey, networkConfig, TestStore, vxlanLease } from './support/stores.ts'

setDefaultTimeout(60_000)

const PEER = '10.244.20.0/24'
const PEER_MAC = '02:42:00:00:00:81'
// Named, for a link that was down has lost the default route.
const FLAGS = ['--ip-masq', '--iface=eth0']

const flagsOf = (host: Host, store: { endpoint: string }) => [
  `--etcd-endpoints=${store.endpoint}`,
  `--subnet-file=${host.subnetFile}`,
  `--status-socket=${host.statusSocket}`,
  `--state-dir=${host.stateDir}`,
  '--config-file=',
  ...FLAGS,
]
function drift(host: Host, store: { endpoint: string }, ...words: string[]) {
  const args = [`--net=${host.namespace.path}`, HEDDLE, 'drift', ...words, '--', ...flagsOf(host, store)]
  const { status, stdout, stderr } = spawnSync('nsenter', args, { encoding: 'utf8', timeout: 30_000 })
  return { status, stdout, stderr }
}
const report = (host: Host, store: { endpoint: string }): DriftReport =>
  JSON.parse(drift(host, store, '--json').stdout) as DriftReport

/** What drift says of each harm, where nobody puts it right. */
const NAMED: Readonly<Record<string, readonly string[]>> = {
  'the device deleted': [
    'missing    link flannel.1 up',
    `missing    route ${PEER} via`,
    'missing    address',
  ],
  'the device down and up': [`missing    route ${PEER} via`],
  'the device left down': ['different  link flannel.1 (devices): state is down, should be up'],
  'its routes flushed': [
    `missing    route ${PEER} via 10.244.20.0 dev flannel.1 onlink (lease 10.244.20.0-24)`,
  ],
  'its neighbours flushed': [`missing    neigh 10.244.20.0 dev flannel.1 lladdr ${PEER_MAC} (lease`],
  'its FDB flushed': [`missing    fdb ${PEER_MAC} dev flannel.1 dst 192.168.100.81 (lease`],
  'the nexthops flushed': ['missing    nexthop via 10.244.20.0 dev flannel.1 onlink', 'missing    route'],
  'a wrong MAC': ['different  link flannel.1 (devices): address is 02:bb:ad:00:00:01, should be'],
  'a wrong MTU': ['different  link flannel.1 (devices): mtu is 1300, should be 1450'],
  'its address removed': ['missing    address 10.244.1'],
  'another device of its name': ['different  link flannel.1 (devices)', 'vxlan id is 77, should be 1'],
  'the nf_tables ruleset flushed': ['missing    table ip flannel-ipv4 (firewall)'],
  'the routes flushed': [`missing    route ${PEER} via 192.168.100.81 dev eth0 (lease 10.244.20.0-24)`],
  'the underlay down and up': [`missing    route ${PEER} via 192.168.100.81 dev eth0`],
}

for (const [type, harms] of [
  ['vxlan', VXLAN_HARMS],
  ['host-gw', HOST_GW_HARMS],
] as const)
  describe(`heddle drift with ${type}`, () => {
    const stack = new AsyncDisposableStack()
    let host: Host
    let store: TestStore

    beforeAll(async () => {
      const segment = stack.use(await Segment.create(1))
      host = segment.host(1)
      store = stack.use(await TestStore.start('etcd', segment, networkConfig({ Type: type })))
      const lease = vxlanLease('192.168.100.81', PEER_MAC)
      store.put(leaseKey(PEER), type === 'vxlan' ? lease : lease.replace('vxlan', 'host-gw'))
    })
    afterAll(() => stack.disposeAsync())

    /** Leaves what a flanneld has made that was killed then. */
    const killed = async () => {
      await using flanneld = await Flanneld.start(host, store, { args: FLAGS })
      await eventually('all is there', () => (report(host, store).differs ? undefined : true))
      await flanneld.end('SIGKILL')
    }

    for (const { name, command } of harms)
      test(`names it while no flanneld runs, and nothing once healed: ${name}`, async () => {
        await killed()
        expect(drift(host, store)).toMatchObject({ status: 0, stderr: '' })
        await host.sh(command)
        const { status, stdout } = drift(host, store)
        expect(status).toBe(1)
        expect(NAMED[name]?.filter((line) => !stdout.includes(line))).toEqual([])
        expect(stdout).toContain('as flanneld would want it by the store')
        await killed()
      })

    test('reads only', async () => {
      await killed()
      await host.sh(`ip link set eth0 mtu 1400; ip route add 10.244.77.0/24 via 192.168.100.9`)
      const [before, leases] = [await hostState(host), store.leases()]
      const { status, stdout } = drift(host, store)
      expect(stdout).toContain('stray      route 10.244.77.0/24 via 192.168.100.9 dev eth0: bears no mark')
      // A stray is no difference; VXLAN's MTU is.
      expect(status).toBe(type === 'vxlan' ? 1 : 0)
      expect(await hostState(host)).toBe(before)
      expect(store.leases()).toEqual(leases)
    })
  })

describe('heddle drift with IPv6', () => {
  const ipv6 = { EnableIPv6: true, IPv6Network: 'fd00:5::/48' }
  test.each([
    ['beside IPv4', networkConfig({ Type: 'vxlan' }, ipv6), 2],
    [
      'alone',
      JSON.stringify({ EnableIPv4: false, EnableNFTables: true, ...ipv6, Backend: { Type: 'vxlan' } }),
      1,
    ],
  ])('%s', async (_, config, families) => {
    await using segment = await Segment.create(2, 'dual')
    await using store = await TestStore.start('etcd', segment, config)
    const [host, other] = [segment.host(1), segment.host(2)]
    await using flanneld = await Flanneld.start(host, store, { args: FLAGS })
    await using _other = await Flanneld.start(other, store, { args: FLAGS })
    await eventually('the other one is there', () =>
      report(host, store).kinds['route']?.wanted === families && !report(host, store).differs
        ? true
        : undefined,
    )
    await flanneld.end('SIGKILL')
    expect(drift(host, store)).toMatchObject({ status: 0, stderr: '' })
    expect(report(host, store).kinds['route']).toMatchObject({ wanted: families })
    await host.sh(`
      ip neigh flush dev flannel-v6.1 nud permanent; ip -6 route del $(ip -6 route show proto 104 | cut -d' ' -f1)
      ip link set flannel-v6.1 mtu 1400; nft delete table ip6 flannel-ipv6`)
    const { status, stdout } = drift(host, store)
    expect(status).toBe(1)
    for (const line of [
      /^missing +neigh fd00:5:\S+ dev flannel-v6\.1 lladdr \S+ \(lease \S+\)$/m,
      /^missing +route fd00:5:\S+ via fd00:5:\S+ dev flannel-v6\.1 onlink/m,
      /^different +link flannel-v6\.1 \(devices\): mtu is 1400, should be 1430$/m,
      /^missing +table ip6 flannel-ipv6 \(firewall\)$/m,
      /^4 objects are not as flanneld would want it by the store$/m,
    ])
      expect(stdout).toMatch(line)
  })
})

describe('what is its own without a flanneld', () => {
  test('a device of the VNI before is too many: the next start removes it', async () => {
    await using segment = await Segment.create(1)
    const host = segment.host(1)
    await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan', VNI: 7 }))
    const flanneld = await Flanneld.start(host, store, { args: FLAGS })
    await flanneld.end('SIGKILL')
    store.put(CONFIG_KEY, networkConfig({ Type: 'vxlan' }))
    const { status, stdout } = drift(host, store)
    expect(status).toBe(1)
    expect(stdout).toMatch(/^extra +link flannel\.7 /m)
    expect(stdout).toMatch(/^missing +link flannel\.1 /m)
  })

  test('a lease that tells only its IPv6 address is its own by that', async () => {
    await using segment = await Segment.create(1, 'dual')
    const host = segment.host(1)
    const ipv6 = { EnableIPv6: true, IPv6Network: 'fd00:5::/48' }
    await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }, ipv6))
    const ours = (await host.sh("ip -6 -o addr show dev eth0 scope global | awk '{print $4}'")).split('/')[0]
    store.put(
      '/coreos.com/network/subnets/10.244.109.0-24&fd00:5:0:9::-64',
      JSON.stringify({ PublicIP: '0.0.0.0', PublicIPv6: ours, BackendType: 'vxlan' }),
    )
    expect(report(host, store)).toMatchObject({ by: 'store', complete: true })
  })
})

describe('who is asked', () => {
  const stack = new AsyncDisposableStack()
  let host: Host
  let store: TestStore

  beforeAll(async () => {
    const segment = stack.use(await Segment.create(1))
    host = segment.host(1)
    store = stack.use(await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' })))
    store.put(leaseKey(PEER), vxlanLease('192.168.100.81', PEER_MAC))
    store.put(leaseKey('10.99.1.0/24'), vxlanLease('192.168.100.82', '02:42:00:00:00:82'))
  })
  afterAll(() => stack.disposeAsync())

  test('a running flanneld: objects, refusals, repairs; as JSON with the same fields each time', async () => {
    await using flanneld = await Flanneld.start(host, store, { args: FLAGS })
    const text = drift(host, store)
    expect(text).toMatchObject({
      status: 0,
      stderr:
        'heddle: the running flanneld was asked: --etcd-endpoints, --iface, --subnet-file, --ip-masq, --state-dir had no say\n',
    })
    expect(text.stdout).toMatch(/^refused +lease 10\.99\.1\.0-24: .*outside the network/m)
    expect(text.stdout).toMatch(/^nothing differs: 1 link, .*1 route.* as the running flanneld wants it$/m)
    await host.sh('ip link set flannel.1 mtu 1300')
    await eventually('it is repaired', async () => ((await flanneld.repairs()) > 0 ? true : undefined))
    const told = await eventually('nothing differs', () => {
      const now = report(host, store)
      return now.differs ? undefined : now
    })
    expect(Object.keys(told).sort()).toEqual(
      'by complete differs doubtful failures fights kinds objects refused repairs troubles unknown'.split(
        ' ',
      ),
    )
    expect(told).toMatchObject({ by: 'daemon', complete: true, objects: [], unknown: [] })
    expect(told.kinds['route']).toEqual({ wanted: 1, missing: 0, different: 0, extra: 0 })
    expect(told.repairs?.kinds['link']).toBe(1)
    expect(told.repairs?.last.map(({ kind, key }) => `${kind} ${key}`)).toContain('link flannel.1')
    // The same in /status and /metrics.
    const status = await flanneld.report()
    expect(status.objects?.kinds['route']).toMatchObject({ wanted: 1, actual: 1, programmed: 1 })
    expect(status).toMatchObject({ peersProgrammed: 1, fights: [], failures: {} })
    const metrics = (await flanneld.ask('/metrics')).body
    for (const line of [
      'heddle_objects_wanted{kind="route"} 1',
      'heddle_objects_actual{kind="route"} 1',
      'heddle_objects_programmed{kind="route"} 1',
      'heddle_repairs_total{kind="link"} 1',
      'heddle_leases_refused 1',
      'heddle_fights 0',
    ])
      expect(metrics).toContain(`${line}\n`)
    // What the kernel refuses is missing, with the reason.
    await host.sh('ip route add 10.244.30.0/24 via 192.168.100.9 proto static')
    store.put(leaseKey('10.244.30.0/24'), vxlanLease('192.168.100.83', '02:42:00:00:00:83'))
    const missing = await eventually('it fails', () =>
      report(host, store).objects.find(({ reason }) => reason !== undefined),
    )
    expect(missing).toMatchObject({
      kind: 'route',
      key: '10.244.30.0/24',
      what: 'missing',
      name: 'route 10.244.30.0/24',
      object: 'route 10.244.30.0/24 via 10.244.30.0 dev flannel.1 onlink',
      for: 'lease 10.244.30.0-24',
      reason: expect.stringContaining('ip route del 10.244.30.0/24'),
    })
    expect(drift(host, store).status).toBe(1)
    store.delete(leaseKey('10.244.30.0/24'))
    await host.sh('ip route del 10.244.30.0/24')
    await eventually('all is well', () => (drift(host, store).status === 0 ? true : undefined))
    store.put(CONFIG_KEY, networkConfig({ Type: 'vxlan', VNI: -1 }))
    const troubled = await eventually('it complains', () => {
      const { status: code, stdout } = drift(host, store)
      return stdout.includes('trouble ') ? { code, stdout } : undefined
    })
    expect(troubled.code).toBe(0)
    expect(troubled.stdout).toMatch(/^trouble +the network config in the store is refused, .*VNI/m)
    store.put(CONFIG_KEY, networkConfig({ Type: 'vxlan' }))
    await eventually('it is content', () => (report(host, store).troubles.length === 0 ? true : undefined))
    // Ten times within a minute are no accident.
    await eventually(
      'a fight is told',
      async () => {
        await host.sh('ip link set flannel.1 mtu 1300')
        return report(host, store).fights.some(({ key }) => key === 'flannel.1') ? true : undefined
      },
      30,
    )
    expect(drift(host, store).stdout).toMatch(/^fight +link flannel\.1: something else keeps changing it/m)
    expect((await flanneld.ask('/metrics')).body).toContain('heddle_fights 1\n')
  })

  test('--watch prints what changes, and ends with SIGINT, or with flanneld', async () => {
    await using flanneld = await Flanneld.start(host, store, { args: FLAGS })
    const words = ['--watch', '--socket', host.statusSocket, '--', '--config-file=']
    await using watching = Running.start(HEDDLE, ['drift', ...words], { namespace: host.namespace })
    await using other = Running.start(HEDDLE, ['drift', '--json', ...words])
    await watching.line(/^nothing differs/)
    await other.line(/"differs":false/)
    await host.sh('ip neigh flush dev flannel.1 nud permanent')
    await watching.line(/^\d\d:\d\d:\d\d repaired +neigh 10\.244\.20\.0 dev flannel\.1$/)
    store.put(leaseKey('10.98.1.0/24'), vxlanLease('192.168.100.84', '02:42:00:00:00:84'))
    await watching.line(/refused +lease 10\.98\.1\.0-24: /)
    store.delete(leaseKey('10.98.1.0/24'))
    await watching.line(/settled +lease 10\.98\.1\.0-24 is refused no more/)
    expect(await watching.end('SIGINT')).toEqual({ code: 0, signal: null })
    for (const line of other.lines) expect(JSON.parse(line)).toMatchObject({ by: 'daemon' })
    await flanneld.end()
    await other.line(/has ended/)
    expect(await other.ended).toEqual({ code: 3, signal: null })
  })

  test('nobody: the store is, or where it is silent the kernel alone, and what is not known is said', async () => {
    await using flanneld = await Flanneld.start(host, store, { args: FLAGS })
    flanneld.process.signal('SIGSTOP')
    const stopped = drift(host, store)
    expect(stopped.status).toBe(0)
    expect(stopped.stdout).toMatch(/^not known +the flanneld at \S+ has not answered for 5 s$/m)
    expect(drift(host, store, '--watch')).toMatchObject({
      status: 3,
      stdout: '',
      stderr: expect.stringMatching(/has not answered for 5 s; --watch needs one that runs$/m),
    })
    flanneld.process.signal('SIGCONT')
    await flanneld.end('SIGKILL')
    expect(drift(host, store, '--watch')).toMatchObject({ status: 3, stdout: '' })
    const nowhere = { endpoint: 'http://127.0.0.1:9' }
    const fine = drift(host, nowhere)
    expect(fine.status).toBe(3)
    expect(fine.stdout).toMatch(
      /^not known +what should be here: .*127\.0\.0\.1:9 .*: connect(?:ion refused| ECONNREFUSED)/m,
    )
    expect(fine.stdout).toContain('what is there fits together')
    await host.sh('ip neigh flush dev flannel.1 nud permanent; ip addr flush dev flannel.1')
    const torn = drift(host, nowhere)
    expect(torn.status).toBe(1)
    expect(torn.stdout).toContain('missing    address 10.244.1')
    expect(torn.stdout).toMatch(
      /^missing +neigh 10\.244\.20\.0 dev flannel\.1: route 10\.244\.20\.0\/24 leads through it/m,
    )
    expect(torn.stdout).toContain('does not fit together')
  })

  test.each([
    [['--foo'], 2, 'there is no flag --foo'],
    [['--json', '--json'], 2, ''],
    [['--', '--bad-flag'], 2, 'bad-flag'],
    [['--socket'], 2, '--socket has no value'],
    [['--watch', '--', '--status-socket=', '--config-file='], 3, '--watch needs the status socket'],
  ])('%j is refused', (args, code, sentence) => {
    const { status, stdout, stderr } = spawnSync(HEDDLE, ['drift', ...args], { encoding: 'utf8' })
    expect([status, stdout]).toEqual([code, ''])
    expect(stderr).toContain(sentence)
  })

  test('one who answers something else is no flanneld that could tell it', async () => {
    const path = `${host.folder}/other.sock`
    const server = createServer((_, response) => response.writeHead(404).end())
    await new Promise<void>((done) => server.listen(path, done))
    await using running = Running.start(HEDDLE, ['drift', '--socket', path, '--', '--config-file='])
    expect(await running.ended).toEqual({ code: 3, signal: null })
    expect(running.tail()).toContain('says 404 to /drift')
    server.closeAllConnections()
    server.close()
  })
})
