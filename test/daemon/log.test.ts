// The log of the compiled executable: upstream's well-known lines, JSON, verbosity, files that are moved, and a disk
// that gets full.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FLANNELD } from '../support/executable.ts'
import { Flanneld } from '../support/flanneld.ts'
import { eventually, Running } from '../support/process.ts'
import { Segment } from '../support/segment.ts'
import { CONFIG_KEY, leaseKey, networkConfig, TestStore, vxlanLease } from '../support/stores.ts'

setDefaultTimeout(60_000)

const CONFIG = networkConfig({ Type: 'vxlan' })
/** flannel-compat 1.7, in upstream's order. */
const WELL_KNOWN = [
  /\] Created subnet manager: \S/,
  /\] Found network config - Backend type: vxlan$/,
  /\] Using interface with name eth0 and address 192\.168\.100\.1$/,
  /\] Defaulting external address to interface address \(192\.168\.100\.1\)$/,
  /\] Wrote subnet file to \/\S+$/,
  /\] flannel is ready$/,
  /\] Running backend\.$/,
  /\] Waiting for all goroutines to exit$/,
  /\] Exiting cleanly\.\.\.$/,
]
const HEADER = /^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ [\w-]+\.ts:\d+\] /

test('row 1.7: the lines that scripts look for, in klog’s form, in upstream’s order', async () => {
  await using segment = await Segment.create(1)
  await using store = await TestStore.start('etcd', segment, CONFIG)
  await using flanneld = await Flanneld.start(segment.host(1), store)
  await flanneld.end('SIGTERM')
  const { lines } = flanneld.process
  expect(lines.filter((line) => !HEADER.test(line))).toEqual([])
  const places = WELL_KNOWN.map((pattern) => lines.findIndex((line) => pattern.test(line)))
  expect(places).not.toContain(-1)
  expect(places).toEqual(places.toSorted((a, b) => a - b))
})

test('JSON: each line an object with the same facts', async () => {
  await using segment = await Segment.create(1)
  await using store = await TestStore.start('etcd', segment, CONFIG)
  await using flanneld = await Flanneld.start(segment.host(1), store, { args: ['--log-format=json'] })
  await flanneld.end('SIGTERM')
  const objects = flanneld.process.lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  const messages = objects.map((object) => {
    expect(object).toMatchObject({ level: 'info', pid: flanneld.process.pid })
    expect(Date.parse(String(object['time']))).toBeWithin(Date.now() - 60_000, Date.now() + 1000)
    return String(object['message'])
  })
  expect(messages).toEqual(expect.arrayContaining(['flannel is ready', 'Exiting cleanly...']))
})

test('-v tells more: each lease from 2 on, each kernel object from 4 on', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, CONFIG)
  store.put(leaseKey('10.244.51.0/24'), vxlanLease('192.168.100.51', '02:42:00:00:00:51'))
  const told = async (v: number) => {
    await using flanneld = await Flanneld.start(host, store, { args: [`-v=${v}`] })
    store.put(leaseKey('10.244.52.0/24'), vxlanLease('192.168.100.52', '02:42:00:00:00:52'))
    await eventually('both peers are there', async () =>
      (await flanneld.report()).peers?.length === 2 ? true : undefined,
    )
    store.delete(leaseKey('10.244.52.0/24'))
    await eventually('one peer is there', async () =>
      (await flanneld.report()).peers?.length === 1 ? true : undefined,
    )
    await flanneld.end('SIGTERM')
    const has = (pattern: RegExp) => flanneld.process.matching(pattern).length > 0
    return [
      has(/the store has 2 leases and 0 keys that are none/),
      has(/lease 10\.244\.52\.0-24 \(vxlan\) of 192\.168\.100\.52 .*02:42:00:00:00:52/) &&
        has(/lease 10\.244\.52\.0-24 is gone/),
      has(/put route 10\.244\.52\.0\/24: done/) && has(/remove route 10\.244\.52\.0\/24: done/),
    ]
  }
  expect(await told(0)).toEqual([false, false, false])
  expect(await told(1)).toEqual([true, false, false])
  expect(await told(2)).toEqual([true, true, false])
  expect(await told(4)).toEqual([true, true, true])
})

test('each change of the store is told, the second within a minute too', async () => {
  await using segment = await Segment.create(1)
  await using store = await TestStore.start('etcd', segment, CONFIG)
  await using flanneld = await Flanneld.start(segment.host(1), store)
  const answers = () => flanneld.process.matching(/\] the store answers again$/).length
  for (const times of [1, 2]) {
    const from = flanneld.process.lines.length
    await store.server.kill()
    await flanneld.process.line(/^E\d{4} .*etcd at .*the data plane stays as it is/, { from })
    await store.server.up()
    await eventually(`it answers again, ${times}`, () => answers() === times || undefined, 20)
  }
})

describe('--log-dir', () => {
  test('has what stderr has, in a directory that is made; a file that logrotate moves is left for a new one', async () => {
    await using segment = await Segment.create(1)
    const host = segment.host(1)
    await using store = await TestStore.start('etcd', segment, CONFIG)
    const directory = join(host.folder, 'log', 'flanneld')
    const file = join(directory, 'flanneld.log')
    await using flanneld = await Flanneld.start(host, store, { args: [`--log-dir=${directory}`] })
    renameSync(file, `${file}-1`)
    flanneld.process.signal('SIGHUP')
    await flanneld.process.line(/SIGHUP/)
    await flanneld.end('SIGTERM')
    const moved = readFileSync(`${file}-1`, 'utf8')
    const fresh = readFileSync(file, 'utf8')
    expect(moved).toContain('Created subnet manager')
    expect(fresh).toContain('SIGHUP')
    expect(fresh).toContain('Exiting cleanly...')
    expect((moved + fresh).trimEnd().split('\n')).toEqual(flanneld.process.lines)
  })

  test('of a little tmpfs that gets full: one line tells, stderr goes on, and so does the file once there is room', async () => {
    await using segment = await Segment.create(1)
    const host = segment.host(1)
    await using store = await TestStore.start('etcd', segment, CONFIG)
    const directory = join(host.folder, 'small')
    mkdirSync(directory)
    // A mount namespace of the daemon's own, which ends with it.
    const script = `mount -t tmpfs -o size=64k none ${directory}; exec "$@"`
    const words = [`--etcd-endpoints=${store.endpoint}`, `--subnet-file=${host.subnetFile}`]
    const own = [
      `--status-socket=${host.statusSocket}`,
      `--state-dir=${host.stateDir}`,
      '--config-file=',
      `--log-dir=${directory}`,
    ]
    await using flanneld = Running.start(
      'unshare',
      ['--mount', 'sh', '-ec', script, 'sh', FLANNELD, ...words, ...own],
      { namespace: host.namespace },
    )
    await flanneld.line(/flannel is ready/)
    const inside = `/proc/${flanneld.pid}/root${directory}`
    const hup = async (): Promise<void> => {
      const from = flanneld.lines.length
      flanneld.signal('SIGHUP')
      await flanneld.line(/SIGHUP: options read again/, { from })
    }
    expect(() => writeFileSync(`${inside}/fill`, Buffer.alloc(1 << 20))).toThrow('ENOSPC')
    // A page of the file may still have room.
    for (let i = 0; i < 60; i++) await hup()
    expect(
      flanneld.matching(/^E\d{4} .*log file \S+ can't be written: ENOSPC.*on stderr alone/),
    ).toHaveLength(1)
    rmSync(`${inside}/fill`)
    await eventually(
      'the file is written again',
      async () => {
        await hup()
        return flanneld.matching(/^W\d{4} .*is written again; \d+ lines before this one are on stderr only/)
          .length === 1
          ? true
          : undefined
      },
      20,
    )
    await hup()
    const last = () => readFileSync(`${inside}/flanneld.log`, 'utf8').trimEnd().split('\n').at(-1)
    await eventually('the file has the last line', () => last() === flanneld.lines.at(-1) || undefined)
    await flanneld.end('SIGTERM')
    expect(existsSync(join(directory, 'flanneld.log'))).toBe(false)
  })
})

test('each change of the network config is told, the same bad one within a minute too', async () => {
  await using segment = await Segment.create(1)
  await using store = await TestStore.start('etcd', segment, CONFIG)
  await using flanneld = await Flanneld.start(segment.host(1), store)
  for (let times = 0; times < 2; times++)
    for (const [text, pattern] of [
      ['{"Network": banana', /^E\d{4} .*network config at \S+ is refused/],
      [CONFIG, /^I\d{4} .*network config is the one in use again/],
    ] as const) {
      const from = flanneld.process.lines.length
      store.put(CONFIG_KEY, text)
      await flanneld.process.line(pattern, { from })
    }
})
