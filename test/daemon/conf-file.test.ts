// flanneld with a conf file, on a real kernel and store: its options are in force, its network config is published
// where there is none and nowhere else, and a bad file changes nothing.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Changes } from '../support/changes.ts'
import { FLANNELD } from '../support/executable.ts'
import { Flanneld } from '../support/flanneld.ts'
import { eventually, Running } from '../support/process.ts'
import { Segment, type Host } from '../support/segment.ts'
import { CONFIG_KEY, networkConfig, TestStore } from '../support/stores.ts'

setDefaultTimeout(60_000)

const folder = mkdtempSync(join(tmpdir(), 'heddle-conf-daemon-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0
const conf = (text: string | object): string => {
  const file = join(folder, `${++files}.conf`)
  writeFileSync(file, typeof text === 'string' ? text : JSON.stringify(text, undefined, 2), { mode: 0o600 })
  return file
}
const network = (more: object = {}) => ({ network: '10.244.0.0/16', backend: { type: 'vxlan' }, ...more })

describe('a conf file', () => {
  let segment: Segment
  let host: Host
  beforeAll(async () => {
    segment = await Segment.create(1)
    host = segment.host(1)
  })
  afterAll(() => segment[Symbol.asyncDispose]())
  const start = (...args: string[]) => Running.start(FLANNELD, args, { namespace: host.namespace })

  for (const form of ['environment', 'JSON'] as const)
    test(`in the form of ${form} says where the store is, and all else`, async () => {
      await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
      const { subnetFile, statusSocket, stateDir } = host
      const file = conf(
        form === 'JSON'
          ? { etcd: { endpoints: [store.endpoint] }, subnetFile, statusSocket, stateDir, 'ip-masq': true }
          : `FLANNEL_ETCD_ENDPOINTS="${store.endpoint}"\nFLANNEL_OPTIONS="--subnet-file ${subnetFile} --state-dir ${stateDir} --ip-masq"\nFLANNELD_STATUS_SOCKET='${statusSocket}'\n`,
      )
      await using flanneld = start(`--config-file=${file}`)
      await flanneld.line(/flannel is ready/)
      expect(readFileSync(subnetFile, 'utf8')).toContain('FLANNEL_IPMASQ=true')
      expect(flanneld.matching(/options: .*with those of/).length).toBe(1)
      expect((await flanneld.end()).code).toBe(0)
      rmSync(subnetFile)
    })

  test.each([
    ['{\n  "network": "10.244.0.0/16",\n  "backnd": {}\n}', '3:3: there is no backnd; did you mean backend?'],
    ['{\n  "network": "10.244.0.0/33", "backend": {"type":"vxlan"}\n}', '2:14: Network: invalid IPv4 CIDR'],
    ['FLANNELD_IP_MASQ=true\nFLANNELD_IP_MASK=true\n', '2:1: flanneld knows no FLANNELD_IP_MASK'],
    ['FLANNELD_IP_MASQ=true\n{"network": "10.244.0.0/16"}\n', '2:1: { begins no line of an environment file'],
  ])('%j is refused, exit 2, and nothing changes', async (text, reason) => {
    await using store = await TestStore.start('etcd', segment)
    const file = conf(text)
    using changes = new Changes(host)
    await using flanneld = start(
      `--config-file=${file}`,
      `--etcd-endpoints=${store.endpoint}`,
      '--status-socket=',
    )
    expect((await flanneld.ended).code).toBe(2)
    expect(flanneld.lines).toEqual([expect.stringContaining(`flanneld: ${file}:${reason}`)])
    expect(await changes.take()).toEqual([])
    expect(store.get(CONFIG_KEY)).toBeUndefined()
    expect(store.leases().size).toBe(0)
  })

  test('named and missing is refused', async () => {
    await using flanneld = start('--config-file=/nonexistent/flanneld.conf')
    expect((await flanneld.ended).code).toBe(2)
    expect(flanneld.lines).toEqual([
      'flanneld: /nonexistent/flanneld.conf (--config-file): ENOENT: no such file or directory',
    ])
  })

  test('weak point 49: has a password that is told nowhere', async () => {
    await using store = await TestStore.start('etcd', segment)
    const file = conf({ etcd: { user: 'root', password: 's3cr3t-word' } })
    const args = [`--config-file=${file}`, '--v=4']
    await using flanneld = Flanneld.launch(host, store, { args })
    // An etcd without users is asked without a login.
    await flanneld.process.line(/there is no network config/)
    expect(JSON.stringify(await flanneld.report())).not.toContain('s3cr3t')
    expect((await flanneld.ask('/metrics')).body).not.toContain('s3cr3t')
    expect(flanneld.process.lines.join('\n')).not.toContain('s3cr3t')
  })
})

describe('the network config of a conf file', () => {
  test('is published where there is none, and at once again if it goes', async () => {
    await using segment = await Segment.create(1)
    await using store = await TestStore.start('etcd', segment)
    const file = conf(network({ mtu: 1400, subnetLen: 25 }))
    await using flanneld = await Flanneld.start(segment.host(1), store, { args: [`--config-file=${file}`] })
    const text = '{"Network":"10.244.0.0/16","SubnetLen":25,"Backend":{"Type":"vxlan","MTU":1400}}'
    expect(store.get(CONFIG_KEY)).toBe(text)
    expect(readFileSync(segment.host(1).subnetFile, 'utf8')).toContain('FLANNEL_MTU=1350')
    expect(flanneld.process.matching(/Published the network config of .* at \/coreos.com/).length).toBe(1)
    store.delete(CONFIG_KEY)
    await eventually('it is there again', () => store.get(CONFIG_KEY) === text || undefined)
    expect(flanneld.process.running).toBe(true)
  })

  test('leaves one that is there: it is followed, and where they differ is told', async () => {
    await using segment = await Segment.create(1)
    const there = networkConfig({ Type: 'host-gw' })
    await using store = await TestStore.start('etcd', segment, there)
    const file = conf(network({ network: '10.9.0.0/16' }))
    await using flanneld = await Flanneld.start(segment.host(1), store, { args: [`--config-file=${file}`] })
    const told = await flanneld.process.line(/differs from it/)
    expect(told).toContain('Network is 10.244.0.0/16, in the file 10.9.0.0/16')
    expect(told).toContain('Backend.Type is host-gw, in the file vxlan')
    expect(store.get(CONFIG_KEY)).toBe(there)
    expect(readFileSync(segment.host(1).subnetFile, 'utf8')).toContain('FLANNEL_NETWORK=10.244.0.0/16')
    // Gone, it is not replaced by another network than the one the leases are of.
    store.delete(CONFIG_KEY)
    await flanneld.process.line(/the network config is gone/)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(store.get(CONFIG_KEY)).toBeUndefined()
  })

  test('of four hosts that start at once with four networks is one host’s, and all follow it', async () => {
    await using segment = await Segment.create(4)
    await using store = await TestStore.start('etcd', segment)
    await using hosts = new AsyncDisposableStack()
    const flannelds = await Promise.all(
      segment.hosts.map(async (host, i) => {
        const file = conf(network({ network: `10.${i + 1}.0.0/16` }))
        return hosts.use(await Flanneld.start(host, store, { args: [`--config-file=${file}`] }))
      }),
    )
    const networks = segment.hosts.map(
      (host) => /^FLANNEL_NETWORK=.*$/m.exec(readFileSync(host.subnetFile, 'utf8'))?.[0],
    )
    expect(new Set(networks).size).toBe(1)
    expect(flannelds.flatMap((one) => one.process.matching(/Published the network config/)).length).toBe(1)
    expect(flannelds.flatMap((one) => one.process.matching(/differs from it/)).length).toBe(3)
    expect(segment.hosts.every((host) => existsSync(host.subnetFile))).toBe(true)
  })
})
