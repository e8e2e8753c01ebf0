// Probes and metrics of the compiled executable: what they say while a real etcd isn't there, is, goes and comes back.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../support/executable.ts'
import { Flanneld } from '../support/flanneld.ts'
import { loneHost } from '../support/lone-host.ts'
import { eventually } from '../support/process.ts'
import { parsePrometheus, valueOf, type Family } from '../support/prometheus.ts'
import { Segment, type Host } from '../support/segment.ts'
import { leaseKey, networkConfig, TestStore, vxlanLease } from '../support/stores.ts'

setDefaultTimeout(60_000)

const CONFIG = networkConfig({ Type: 'vxlan' })
const DAY_SECONDS = 24 * 3600

describe('weak point 51: /metrics', () => {
  const stack = new AsyncDisposableStack()
  let host: Host
  let store: TestStore
  let flanneld: Flanneld

  beforeAll(async () => {
    const fill = (own: TestStore) => {
      for (const n of [51, 52])
        own.put(leaseKey(`10.244.${n}.0/24`), vxlanLease(`192.168.100.${n}`, `02:42:00:00:00:${n}`))
      own.put(leaseKey('10.244.53.0/24'), 'no lease')
    }
    ;({ host, store, flanneld } = stack.use(await loneHost(fill)))
    await eventually('ready', async () => (await flanneld.report()).ready || undefined)
  })
  afterAll(() => stack.disposeAsync())

  const scrape = async (): Promise<ReadonlyMap<string, Family>> => {
    const { status, body } = await flanneld.ask('/metrics')
    expect(status).toBe(200)
    return parsePrometheus(body)
  }

  test('stand in a strict reader’s eyes, and docs/metrics.md lists them all', async () => {
    const families = await scrape()
    const page = readFileSync(join(ROOT, 'docs', 'metrics.md'), 'utf8')
    const listed = [...page.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(([, name, type]) => `${name} ${type}`)
    expect([...families.values()].map(({ name, type }) => `${name} ${type}`).sort()).toEqual(listed.sort())
  })

  test('tell what is', async () => {
    const before = Date.now() / 1000
    const families = await scrape()
    const value = (name: string, labels?: Record<string, string>) => valueOf(families, name, labels)
    expect(value('heddle_ready')).toBe(1)
    expect(value('heddle_peers_wanted')).toBe(2)
    expect(value('heddle_peers_programmed')).toBe(2)
    expect(value('heddle_leases_refused')).toBe(1)
    expect(value('heddle_objects_wanted', { kind: 'fdb' })).toBe(2)
    expect(value('heddle_object_puts_total', { kind: 'fdb' })).toBe(2)
    expect(value('heddle_objects_failing', { kind: 'route' })).toBe(0)
    expect(value('heddle_pod_mtu_bytes')).toBe(1450)
    expect(value('heddle_lease_events_total', { kind: 'snapshot' })).toBe(1)
    expect(value('heddle_reconcile_duration_seconds_count')).toBeGreaterThan(0)
    expect(value('heddle_reconcile_last_timestamp_seconds')).toBeWithin(before - 60, before + 1)
    expect(value('heddle_lease_expiry_timestamp_seconds') - before).toBeWithin(
      DAY_SECONDS - 120,
      DAY_SECONDS + 1,
    )
    for (const watch of ['leases', 'config', 'own lease']) {
      expect(value('heddle_store_watch_up', { watch })).toBe(1)
      expect(value('heddle_store_watch_age_seconds', { watch })).toBeWithin(0, 60)
    }
    expect(value('process_resident_memory_bytes')).toBeWithin(20e6, 500e6)
    expect(value('process_cpu_seconds_total')).toBeWithin(0.01, 60)
    expect(value('process_start_time_seconds')).toBeWithin(before - 60, before)
    expect(value('process_open_fds')).toBeWithin(5, 200)
    expect(families.get('heddle_build_info')?.series[0]?.labels['version']).toMatch(/^v\d+\.\d+\.\d+/)
  })

  test('count repairs, new peers, and a peer that can’t be programmed', async () => {
    await host.sh('ip route del 10.244.51.0/24')
    await eventually('one repair is counted', async () =>
      valueOf(await scrape(), 'heddle_repairs_total', { kind: 'route' }) === 1 ? true : undefined,
    )
    // Somebody else's route to there, which nobody removes.
    await host.sh('ip route add unreachable 10.244.54.0/24 proto static')
    store.put(leaseKey('10.244.54.0/24'), vxlanLease('192.168.100.54', '02:42:00:00:00:54'))
    const families = await eventually('a third peer is wanted, and its route fails', async () => {
      const found = await scrape()
      const [wanted, failing] = [
        valueOf(found, 'heddle_peers_wanted'),
        valueOf(found, 'heddle_objects_failing', { kind: 'route' }),
      ]
      return wanted === 3 && failing === 1 ? found : undefined
    })
    expect(valueOf(families, 'heddle_peers_programmed')).toBe(2)
    // One bad peer makes no host unready.
    expect(await flanneld.ask('/readyz')).toEqual({ status: 200, body: 'flanneld is ready' })
  })

  test('tell that the store is lost', async () => {
    await store.server.kill()
    const families = await eventually('the watch is lost', async () => {
      const found = await scrape()
      return valueOf(found, 'heddle_store_watch_up', { watch: 'leases' }) === 0 ? found : undefined
    })
    expect(valueOf(families, 'heddle_store_errors_total', { code: 'unavailable' })).toBeGreaterThan(0)
    expect(valueOf(families, 'heddle_peers_programmed')).toBe(2)
  })
})

test('weak points 34 and 35: readiness follows a real etcd that starts, stops and starts again; life does not', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, CONFIG)
  await store.server.kill()
  const args = ['--store-lost-grace=2s']
  await using flanneld = Flanneld.launch(host, store, { args })
  await eventually('it answers', () => flanneld.ask('/livez').catch(() => undefined))
  const failing = async () =>
    (await flanneld.ask('/readyz?verbose')).body
      .split('\n')
      .flatMap((line) => /^\[-\](\S+) failed: .{10,}/.exec(line)?.[1] ?? [])
  const alive = async () => {
    expect(await flanneld.ask('/healthz')).toEqual({ status: 200, body: 'flanneld is running' })
    expect(await flanneld.ask('/livez?verbose')).toEqual({
      status: 200,
      body: '[+]ping ok\n[+]reconciler ok\nflanneld is alive\n',
    })
  }
  const ready = () =>
    eventually('it is ready', async () => (await flanneld.ask('/readyz')).status === 200 || undefined)

  expect(await flanneld.ask('/readyz')).toEqual({ status: 503, body: 'flanneld is not ready yet' })
  expect(await failing()).toEqual(expect.arrayContaining(['lease', 'host', 'peers', 'subnet-file']))
  await alive()
  await store.server.up()
  await ready()
  const checks = ['store', 'lease', 'host', 'peers', 'subnet-file'].map((name) => `[+]${name} ok`)
  // One of its watches may be a moment later than the lease that made it ready.
  await eventually('all is well', async () => {
    const { status, body } = await flanneld.ask('/readyz?verbose')
    const lines = body.trimEnd().split('\n')
    return (
      (status === 200 && [...checks, 'flanneld is ready'].every((each) => lines.includes(each))) || undefined
    )
  })
  expect(await failing()).toEqual([])

  const from = flanneld.process.lines.length
  await store.server.kill()
  const note = await eventually('the loss is told before it counts', async () => {
    const { status, body } = await flanneld.ask('/readyz?verbose')
    return status === 200 && body.includes('[+]store ok: the leases are lost') ? body : undefined
  })
  expect(note).toContain('not ready from 2 s on')
  await eventually('it is unready', async () => (await flanneld.ask('/readyz')).status === 503 || undefined)
  expect(await failing()).toEqual(['store'])
  await alive()
  await flanneld.process.line(/^W\d{4} .*not ready any more.*lost for 2 s/, { from })

  await store.server.up()
  await ready()
  await flanneld.process.line(/^I\d{4} .*the leases are followed again/, { from })
  expect((await flanneld.report()).ready).toBe(true)
})

test('a device that can’t be made: not ready, said why, no subnet.env; ready once it can be', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  // The kernel refuses a second device with this VNI and port.
  await host.sh(`ip link add other type vxlan id 1 local ${host.ip} dev eth0 dstport 8472 nolearning`)
  await using store = await TestStore.start('etcd', segment, CONFIG)
  await using flanneld = Flanneld.launch(host, store)
  await flanneld.process.line(
    /^E\d{4} .*not ready, for this host's own devices or rules are missing.*flannel\.1/,
  )
  const { status, body } = await flanneld.ask('/readyz?verbose')
  expect(status).toBe(503)
  expect(body).toMatch(/^\[-\]host failed: link flannel\.1: /m)
  expect(flanneld.process.matching(/flannel is ready/)).toEqual([])
  expect(existsSync(host.subnetFile)).toBe(false)
  await host.sh('ip link del other')
  await flanneld.ready()
  await eventually('ready', async () => (await flanneld.report()).ready || undefined)
})

test('weak point 48: a health port in use is tried again until it is free, and the network does not wait for it', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, CONFIG)
  const squatter = host.namespace.run(() =>
    Bun.listen({ hostname: '0.0.0.0', port: 8471, socket: { data() {} } }),
  )
  await using flanneld = await Flanneld.start(host, store, { args: ['--healthz-port=8471'] })
  await flanneld.process.line(/^E\d{4} .*can't answer status requests at 0\.0\.0\.0:8471: .*trying again/)
  expect((await flanneld.ask('/readyz')).status).toBe(200)
  squatter.stop(true)
  await flanneld.process.line(/^I\d{4} .*status requests are answered at 0\.0\.0\.0:8471 now/)
  const said = await host.sh(
    `bash -c 'exec 3<>/dev/tcp/127.0.0.1/8471; printf "GET /readyz HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'`,
  )
  expect(said).toStartWith('HTTP/1.1 200 OK')
  expect(said).toEndWith('flanneld is ready')
})
