// From the command line to the exit code: subnet.env to the byte, an end within two seconds whatever hangs, a data
// plane that outlives the process.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { Changes } from '../support/changes.ts'
import { FLANNELD } from '../support/executable.ts'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment } from '../support/segment.ts'
import { leaseKey, networkConfig, TestStore } from '../support/stores.ts'

setDefaultTimeout(60_000)

const CONFIG = networkConfig({ Type: 'vxlan' })
const STOPS_WITHIN_MS = 2000

describe('weak point 47: SIGTERM ends it within 2 s', () => {
  const cases: readonly (readonly [
    string,
    (scene: { store: TestStore; flanneld: Flanneld }) => Promise<void>,
  ])[] = [
    ['while it runs', ({ flanneld }) => flanneld.ready()],
    [
      'while the store hangs',
      async ({ store, flanneld }) => {
        await flanneld.ready()
        store.server.freeze()
      },
    ],
    [
      'while the store is down',
      async ({ store, flanneld }) => {
        await flanneld.ready()
        await store.server.kill()
        await new Promise((resolve) => setTimeout(resolve, 300))
      },
    ],
  ]
  for (const [name, arrange] of cases)
    test(name, async () => {
      await using segment = await Segment.create(1)
      await using store = await TestStore.start('etcd', segment, CONFIG)
      await using flanneld = Flanneld.launch(segment.host(1), store)
      await arrange({ store, flanneld })
      using changes = new Changes(segment.host(1))
      const started = performance.now()
      expect(await flanneld.end('SIGTERM')).toEqual({ code: 0, signal: null })
      expect(performance.now() - started).toBeLessThan(STOPS_WITHIN_MS)
      expect(await changes.take()).toEqual([])
    })

  test('while it waits: for a network config, for a store that hangs, for one that is not there', async () => {
    await using segment = await Segment.create(3)
    await using empty = await TestStore.start('etcd', segment)
    await using hanging = await TestStore.start('etcd', segment, CONFIG)
    hanging.server.freeze()
    const absent = { endpoint: `http://${segment.host(3).ip}:2379` }
    const endings = [empty, hanging, absent].map(async (store, index) => {
      await using flanneld = Flanneld.launch(segment.host(index + 1), store)
      await flanneld.process.line(/./)
      await new Promise((resolve) => setTimeout(resolve, 700))
      const started = performance.now()
      const { code } = await flanneld.end('SIGTERM')
      return { code, quick: performance.now() - started < STOPS_WITHIN_MS }
    })
    expect(await Promise.all(endings)).toEqual(endings.map(() => ({ code: 0, quick: true })))
  })
})

describe('subnet.env, to the byte', () => {
  for (const [type, args, mtu, masquerade] of [
    ['vxlan', [], 1450, false],
    ['host-gw', ['--ip-masq'], 1500, true],
  ] as const)
    test(`of ${type} with ${args.join(' ') || 'no flags'}`, async () => {
      await using segment = await Segment.create(1)
      const host = segment.host(1)
      const config = networkConfig({ Type: type }, { SubnetMin: '10.244.17.0', SubnetMax: '10.244.17.0' })
      await using store = await TestStore.start('etcd', segment, config)
      await using _ = await Flanneld.start(host, store, { args })
      expect(readFileSync(host.subnetFile, 'utf8')).toBe(
        `FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.17.1/24\nFLANNEL_MTU=${mtu}\nFLANNEL_IPMASQ=${masquerade}\n`,
      )
      expect(statSync(host.subnetFile).mode & 0o777).toBe(0o644)
      expect([...store.leases().keys()]).toEqual([leaseKey('10.244.17.0/24')])
    })
})

describe('the command line', () => {
  const run = (...args: readonly string[]) => {
    const done = spawnSync(FLANNELD, args, { encoding: 'utf8', timeout: 20_000 })
    return { status: done.status, stdout: done.stdout, stderr: done.stderr }
  }

  for (const args of [
    ['--kube-subnet-mgr'],
    ['--etcd-keyfile=/key.pem'],
    ['--iface-regex', 'eth(?=0)'],
    ['--no-such-flag'],
    ['--healthz-port=banana'],
    ['--subnet-lease-renew-margin=1440'],
  ])
    test(`${args.join(' ')} is refused with exit 2 and a sentence`, () => {
      const { status, stdout, stderr } = run(...args)
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
      expect(stderr).toMatch(/^flanneld: .*\w+ \w+.*\n$/)
    })

  test('without CAP_NET_ADMIN it says so and leases nothing', () => {
    const args = [
      '--bounding-set=-net_admin',
      FLANNELD,
      '--etcd-endpoints=http://127.0.0.1:1',
      '--status-socket=',
    ]
    const { status, stderr } = spawnSync('setpriv', args, { encoding: 'utf8', timeout: 20_000 })
    expect(status).toBe(1)
    expect(stderr).toContain('CAP_NET_ADMIN')
    expect(stderr).not.toContain('subnet manager')
  })

  for (const flag of ['--version', '--help', '-h'])
    test(`${flag} tells on stderr and ends with 0`, () => {
      const { status, stdout, stderr } = run(flag)
      expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
      expect(stderr).not.toBe('')
    })
})

test('health: alive from the start, ready once the network is', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment)
  const args = ['--healthz-ip=127.0.0.1', '--healthz-port=8471']
  await using flanneld = Flanneld.launch(host, store, { args })
  /** The status code and the body, by bash alone. */
  const ask = async (path: string) => {
    const said = await host
      .sh(`bash -c 'exec 3<>/dev/tcp/127.0.0.1/8471; printf "GET ${path} HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'`)
      .catch(String)
    return `${/^HTTP\/1\.\d (\d+)/.exec(said)?.[1]} ${said.split('\r\n\r\n').at(-1)?.trim()}`
  }
  await eventually(
    'it is alive',
    async () => (await ask('/healthz')) === '200 flanneld is running' || undefined,
  )
  expect(await ask('/readyz')).toBe('503 flanneld is not ready yet')
  store.put('/coreos.com/network/config', CONFIG)
  await eventually('it is ready', async () => (await ask('/readyz')) === '200 flanneld is ready' || undefined)
  expect((await flanneld.report()).ready).toBe(true)
})
