// The systemd units as they are installed, run by a real systemd: what they may do, and that it is enough.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { buildDeb } from '../../scripts/packages/deb.ts'
import { DebianRoot } from '../support/debian-root.ts'
import { packageFolder, packageOptions } from '../support/packages.ts'
import { eventually } from '../support/process.ts'
import { Segment } from '../support/segment.ts'
import { CONFIG_KEY, leaseKey, networkConfig, vxlanLease } from '../support/stores.ts'

setDefaultTimeout(180_000)

let stack: AsyncDisposableStack | undefined
let root: DebianRoot

/** One host for all tests, its store the embedded one beside it; each leaves both services running. */
beforeAll(async () => {
  await using opening = new AsyncDisposableStack()
  const folder = opening.use(packageFolder())
  buildDeb(packageOptions(folder.path, '0.0.1'))
  const segment = opening.use(await Segment.create(1))
  root = opening.use(await DebianRoot.boot(segment.host(1), folder.path))
  root.sh('dpkg --force-unsafe-io --install /mnt/*.deb; systemctl start heddle-store')
  const put = `ETCDCTL_API=3 etcdctl --endpoints=http://127.0.0.1:2379 put --`
  root.sh(`
    for _ in $(seq 100); do
      ! ${put} ${leaseKey('10.244.7.0/24')} '${vxlanLease('192.168.100.7', '02:00:00:00:00:07')}' || break
      sleep 0.1
    done
    ${put} ${CONFIG_KEY} '${networkConfig({ Type: 'vxlan' })}'
    systemctl start flanneld
  `)
  stack = opening.move()
})
afterAll(async () => stack?.disposeAsync())

const property = (unit: string, name: string): string =>
  root.sh(`systemctl show --value --property=${name} ${unit}`).trim()
const processStatus = (unit: string, name: string): string =>
  new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(root.sh(`cat /proc/${property(unit, 'MainPID')}/status`))?.[1] ??
  ''
const inItsView = (unit: string, command: string) =>
  root.try(`nsenter --target ${property(unit, 'MainPID')} --mount sh -ec '${command}'`)

test('systemd finds nothing to say about them, and little that they may do', () => {
  expect(root.sh('systemd-analyze verify flanneld.service heddle-store.service')).toBe('')
  const exposure = (unit: string) =>
    Number(/: ([\d.]+) /.exec(root.sh(`systemd-analyze security ${unit} | tail -1`))?.[1])
  expect(exposure('flanneld.service')).toBeLessThan(2.2)
  expect(exposure('heddle-store.service')).toBeLessThan(1.5)
})

test('flanneld is ready under its unit, with CAP_NET_ADMIN and CAP_NET_RAW alone, and programs the kernel', () => {
  expect(property('flanneld', 'ActiveState')).toBe('active')
  expect(root.sh('cat /run/flannel/subnet.env')).toContain('FLANNEL_NETWORK=10.244.0.0/16')
  expect(root.sh('ip route show 10.244.7.0/24; sysctl -n net.ipv6.conf.flannel/1.accept_ra')).toMatch(
    /dev flannel\.1 .*\n0\n/,
  )
  // linux/capability.h: CAP_NET_ADMIN is 12, CAP_NET_RAW 13.
  for (const set of ['CapPrm', 'CapEff', 'CapBnd'])
    expect(processStatus('flanneld', set)).toBe('0000000000003000')
  expect(processStatus('flanneld', 'NoNewPrivs')).toBe('1')
  expect(processStatus('flanneld', 'Seccomp')).toBe('2')
})

test('flanneld may ask about paths and checksums under its unit', async () => {
  const said = () => root.sh('journalctl --unit=flanneld --output=cat')
  await eventually('it is ready', () => said().includes('flannel is ready') || undefined)
  expect(said()).not.toMatch(/can't be asked about/)
})

test('flanneld writes where it must, and nowhere else', () => {
  const write = (folder: string) => inItsView('flanneld', `touch ${folder}/x; rm ${folder}/x`).status === 0
  for (const folder of ['/run/flannel', '/run/heddle', '/var/lib/heddle', '/var/log/flanneld', '/tmp'])
    expect([folder, write(folder)]).toEqual([folder, true])
  for (const folder of ['/etc', '/etc/flannel', '/usr/bin', '/var/lib', '/run', '/opt', '/home'])
    expect([folder, write(folder)]).toEqual([folder, false])
  const sysctl = (name: string) => inItsView('flanneld', `echo 0 >/proc/sys/${name}`).status === 0
  expect(sysctl('net/ipv6/conf/lo/accept_ra')).toBe(true)
  expect(sysctl('kernel/hostname')).toBe(false)
})

test('flanneld writes into the tables of both iptables under its unit, the legacy one’s locked', async () => {
  root.sh('cp -p /etc/flannel/flanneld.conf /tmp/conf')
  const rules = (kind: string) => root.try(`iptables-${kind} -S FORWARD`).text
  for (const kind of ['legacy', 'nft']) {
    root.sh(`echo FLANNELD_FIREWALL=iptables-${kind} >/etc/flannel/flanneld.conf; systemctl restart flanneld`)
    await eventually('the rules are there', () => rules(kind).includes('FLANNEL-FWD') || undefined)
  }
  await eventually('the other ones are gone', () => !rules('legacy').includes('FLANNEL-FWD') || undefined)
  expect(root.sh('stat -c %a /run/xtables.lock')).toBe('600\n')
  root.sh('cp -p /tmp/conf /etc/flannel/flanneld.conf; systemctl restart flanneld')
})

test('flanneld puts its device back under its unit', async () => {
  root.sh('ip link delete flannel.1')
  await eventually('the device is back with its route', () => {
    return root.try('ip route show 10.244.7.0/24').text.includes('flannel.1') || undefined
  })
})

test('the store runs as heddle, without a capability, its files its own', () => {
  expect(root.sh('stat -c "%U %a" /var/lib/heddle /var/lib/heddle/store')).toBe('root 755\nheddle 700\n')
  expect(processStatus('heddle-store', 'Uid')).toBe(
    root.sh('id -u heddle').trim().concat('\t').repeat(4).trimEnd(),
  )
  for (const set of ['CapPrm', 'CapBnd']) expect(processStatus('heddle-store', set)).toBe('0000000000000000')
})

test('the store may listen on a socket of its own in /run', async () => {
  root.sh(`
    cp -p /etc/default/heddle-store /tmp/default
    echo 'HEDDLE_STORE_OPTIONS=--listen 127.0.0.1:2379,unix:/run/heddle-store/store.sock' >/etc/default/heddle-store
    systemctl restart heddle-store
  `)
  const path = '/run/heddle-store/store.sock'
  await eventually('it is there', () => root.try(`test -S ${path}`).status === 0 || undefined)
  expect(root.sh(`stat -c "%U %a %F" /run/heddle-store ${path}`)).toBe(
    'heddle 700 directory\nheddle 600 socket\n',
  )
  root.sh('cp -p /tmp/default /etc/default/heddle-store; systemctl restart heddle-store')
})

test('root backs the store up while it runs, and what root restores is the store’s own again', async () => {
  // Its unit is up before it answers.
  const isBackedUp = () => root.try('heddle store backup /root/copy').status === 0 || undefined
  await eventually('the store is backed up', isBackedUp)
  root.sh(`
    systemctl stop heddle-store && rm -r /var/lib/heddle/store && heddle store restore /root/copy &&
    systemctl start heddle-store && systemctl start flanneld
  `)
  expect(root.sh('stat -c "%U %a" /var/lib/heddle/store /var/lib/heddle/store/store.db')).toBe(
    'heddle 700\nheddle 600\n',
  )
  expect(root.sh('systemctl is-active heddle-store flanneld')).toBe('active\nactive\n')
})

test('a restart of either, and of both at once, leaves subnet.env and the lease', () => {
  const subnet = root.sh('cat /run/flannel/subnet.env')
  for (const units of ['flanneld', 'heddle-store', 'heddle-store flanneld']) {
    root.sh(`systemctl restart ${units}; test -e /run/flannel/subnet.env; systemctl start flanneld`)
    expect(root.sh('cat /run/flannel/subnet.env')).toBe(subnet)
  }
  root.sh('systemctl stop flanneld')
  expect(root.sh('cat /run/flannel/subnet.env')).toBe(subnet)
  root.sh('systemctl start flanneld')
})

test('a reload goes on with the same process', () => {
  const before = property('flanneld', 'MainPID')
  root.sh('systemctl reload flanneld')
  root.sh('systemctl is-active flanneld; ip link show flannel.1')
  expect(property('flanneld', 'MainPID')).toBe(before)
})

test('a flanneld that hangs is started again', async () => {
  root.sh(`
    mkdir -p /run/systemd/system/flanneld.service.d
    printf '[Service]\\nWatchdogSec=2\\nTimeoutAbortSec=1\\n' >/run/systemd/system/flanneld.service.d/soon.conf
    systemctl daemon-reload; systemctl restart flanneld
  `)
  const hanging = property('flanneld', 'MainPID')
  root.sh(`kill -STOP ${hanging}`)
  await eventually(
    'another one is up',
    () => {
      const up =
        property('flanneld', 'ActiveState') === 'active' && property('flanneld', 'MainPID') !== hanging
      return up || undefined
    },
    30,
  )
  root.sh('rm -r /run/systemd/system/flanneld.service.d; systemctl daemon-reload; systemctl restart flanneld')
})

test('options that are not understood end it for good, and systemctl says so at once', () => {
  root.sh(
    'cp -p /etc/flannel/flanneld.conf /tmp/right; echo FLANNELD_ETCD_PREFX=/x >>/etc/flannel/flanneld.conf',
  )
  expect(root.try('systemctl restart flanneld').status).toBe(1)
  expect(property('flanneld', 'ActiveState')).toBe('failed')
  expect(root.sh('journalctl --unit=flanneld --lines=5 --output=cat')).toContain(
    'did you mean FLANNELD_ETCD_PREFIX?',
  )
  root.sh('cp -p /tmp/right /etc/flannel/flanneld.conf; systemctl start flanneld')
})

test('the drop-in for Docker waits for flanneld and hands on the subnet', () => {
  // What dockerd does with its options is Docker's: here it tells them.
  root.sh(`
    printf '[Service]\\nExecStart=/usr/bin/false\\n' >/run/systemd/system/docker.service
    mkdir -p /run/systemd/system/docker.service.d
    cp /usr/share/doc/heddle/examples/docker-flannel.conf /run/systemd/system/docker.service.d/flannel.conf
    printf '#!/bin/sh\\necho "$@" >/run/dockerd\\n' >/usr/bin/dockerd; chmod +x /usr/bin/dockerd
    systemctl daemon-reload; systemctl stop flanneld; systemctl start docker
  `)
  expect(property('flanneld', 'ActiveState')).toBe('active')
  const subnet = /^FLANNEL_SUBNET=(.*)$/m.exec(root.sh('cat /run/flannel/subnet.env'))?.[1]
  expect(root.sh('while systemctl --quiet is-active docker; do sleep 0.1; done; cat /run/dockerd')).toBe(
    `--host=fd:// --containerd=/run/containerd/containerd.sock --bip=${subnet} --ip-masq=true --mtu=1450\n`,
  )
})
