// The compiled store behind certificates and users, with upstream's flanneld and heddle's on it: its certificate is
// replaced while they run, and it is lost and restored from a backup.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Authority } from '../support/authority.ts'
import { EtcdServer } from '../support/etcd.ts'
import { HEDDLE } from '../support/executable.ts'
import { Flanneld, type StoreAccess } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment, STORE_IP, type Host } from '../support/segment.ts'
import { CONFIG_KEY, networkConfig, PREFIX } from '../support/stores.ts'
import { TlsFolder } from '../support/tls-files.ts'
import { Traffic } from '../support/traffic.ts'

setDefaultTimeout(60_000)

const ROOT = '--user=root:root-geheim'

const hasRoute = async (host: Host, subnet: string): Promise<boolean> =>
  (await host.sh(`ip route show ${subnet}`)).includes(' via ')

test('upstream and heddle reach their network through a renewed certificate, and through a store restored from a backup', async () => {
  using tls = new TlsFolder()
  const authority = new Authority('ca')
  const ca = tls.put('ca.pem', authority.cert)
  const renew = () => tls.write('store', authority.issue({ name: 'store', hosts: [STORE_IP] }))
  const own = renew()
  const certificate = tls.write('host', authority.issue({ name: 'no-user' }))
  const folder = mkdtempSync(join(tmpdir(), 'heddle-test-secured-'))
  try {
    await using segment = await Segment.create(3)
    await using store = await EtcdServer.start('embedded', {
      program: HEDDLE,
      host: STORE_IP,
      namespace: segment.switch.namespace,
      tls: { ...own, clientCa: ca },
    })
    const files = ['--cacert', ca, '--cert', certificate.cert, '--key', certificate.key]
    const etcdctl = (...words: string[]): string => {
      const command = ['etcdctl', `--endpoints=${store.endpoint}`, ...files, ...words]
      const done = spawnSync('nsenter', [`--net=${segment.switch.namespace.path}`, ...command], {
        encoding: 'utf8',
        env: { ...process.env, ETCDCTL_API: '3' },
      })
      if (done.status !== 0) throw new Error(`etcdctl ${words.join(' ')}: ${done.stderr}`)
      return done.stdout
    }
    etcdctl('put', CONFIG_KEY, networkConfig({ Type: 'vxlan' }))
    etcdctl('user', 'add', 'root:root-geheim')
    etcdctl('user', 'add', 'flannel:geheim')
    etcdctl('role', 'add', 'network')
    etcdctl('role', 'grant-permission', 'network', 'readwrite', '--prefix=true', PREFIX)
    etcdctl('user', 'grant-role', 'flannel', 'network')
    etcdctl('user', 'grant-role', 'root', 'root')
    etcdctl('auth', 'enable')

    const access: StoreAccess = {
      endpoint: store.endpoint,
      flags: [
        `--etcd-cafile=${ca}`,
        `--etcd-certfile=${certificate.cert}`,
        `--etcd-keyfile=${certificate.key}`,
        '--etcd-username=flannel',
        '--etcd-password=geheim',
      ],
    }
    const [one, two, three] = [segment.host(1), segment.host(2), segment.host(3)]
    await using upstream = await Flanneld.start(one, access, { make: 'upstream' })
    await using heddle = await Flanneld.start(two, access)
    const [near, far] = [await one.pod(), await two.pod()]
    await eventually('the pods reach each other', async () => (await far.reaches(near.ip)) || undefined, 15)
    await using traffic = await Traffic.start(far.namespace, near.ip)

    const backup = join(folder, 'backup.db')
    const command = (...words: string[]) => spawnSync(HEDDLE, ['store', ...words], { encoding: 'utf8' })
    expect(command('backup', backup, '--data-dir', store.folder)).toMatchObject({ status: 0, stderr: '' })

    // Both come back by the new certificate, and a host that wasn't there before is seen by both.
    renew()
    await store.restart()
    await using late = await Flanneld.start(three, access)
    await eventually(
      'upstream sees the new host',
      async () => (await hasRoute(one, three.subnet)) || undefined,
      20,
    )
    await eventually(
      'heddle sees the new host',
      async () => (await hasRoute(two, three.subnet)) || undefined,
      20,
    )

    // The backup knows nothing of the new host, whose lease the lost store had.
    await store.kill()
    rmSync(store.folder, { recursive: true })
    expect(command('restore', backup, '--data-dir', store.folder)).toMatchObject({ status: 0, stderr: '' })
    await store.up()
    await eventually(
      'the new host has put its lease again',
      () =>
        etcdctl(ROOT, 'get', '--keys-only', `${PREFIX}/subnets/${three.subnet.replace('/', '-')}`).includes(
          PREFIX,
        ) || undefined,
      20,
    )
    etcdctl(
      ROOT,
      'put',
      `${PREFIX}/subnets/10.244.77.0-24`,
      '{"PublicIP":"192.168.100.77","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"0a:00:00:00:00:77"}}',
    )
    await eventually(
      'heddle follows the restored store',
      async () => (await hasRoute(two, '10.244.77.0/24')) || undefined,
      20,
    )
    // Upstream drops what the backup lacks, and is a while busy with that: here it is enough that it has been told,
    // by an event or by a list, whichever its watch was in time for.
    await upstream.process.line(
      /watchSubnets: got valid subnet event with revision 100000\d{4}|subnets fell behind compaction horizon/,
    )
    for (const [host, other] of [
      [one, two],
      [two, one],
      [two, three],
    ] as const)
      expect(await hasRoute(host, other.subnet)).toBe(true)
    expect(await traffic.stop()).toMatchObject({ lost: 0 })
    expect(upstream.process.running && heddle.process.running && late.process.running).toBe(true)
    expect([...store.process.lines, ...heddle.process.lines].join('\n')).not.toContain('geheim')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
