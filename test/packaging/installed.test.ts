// The Debian package in a Debian with systemd: installed, upgraded, removed and purged, with a real etcd.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { buildDeb } from '../../scripts/packages/deb.ts'
import { flannelPart } from '../support/data-plane.ts'
import { DebianRoot } from '../support/debian-root.ts'
import { packageFolder, packageOptions } from '../support/packages.ts'
import { Segment } from '../support/segment.ts'
import { leaseKey, networkConfig, TestStore, vxlanLease } from '../support/stores.ts'

setDefaultTimeout(180_000)

const OLD = '0.0.1'
const NEW = '0.0.2'
let folder: ReturnType<typeof packageFolder>
const debs = new Map<string, string>()

beforeAll(() => {
  folder = packageFolder()
  for (const version of [OLD, NEW])
    debs.set(version, basename(buildDeb(packageOptions(folder.path, version))))
})
afterAll(() => folder[Symbol.dispose]())

interface World extends AsyncDisposable {
  readonly segment: Segment
  readonly store: TestStore
  readonly root: DebianRoot
}

/** A host with a Debian in it, an etcd on its segment, and a peer in that. */
async function world(): Promise<World> {
  await using stack = new AsyncDisposableStack()
  const segment = stack.use(await Segment.create(1))
  const store = stack.use(await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' })))
  store.put(leaseKey('10.244.7.0/24'), vxlanLease('192.168.100.7', '02:00:00:00:00:07'))
  const root = stack.use(await DebianRoot.boot(segment.host(1), folder.path))
  const owned = stack.move()
  return { segment, store, root, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const install = (root: DebianRoot, version: string): string =>
  root.sh(`dpkg --force-unsafe-io --install /mnt/${debs.get(version)}`)

/** Tells it its store, and waits until systemd has it that it is ready. */
function start({ root, store }: World): void {
  root.sh(`
    printf 'FLANNELD_ETCD_ENDPOINTS=%s\\nFLANNELD_IP_MASQ=true\\n' ${store.endpoint} >/etc/flannel/flanneld.conf
    systemctl enable --quiet --now flanneld
  `)
}

const pid = (root: DebianRoot): string => root.sh('systemctl show --value --property=MainPID flanneld').trim()

/** Paths that this machine doesn't have, dpkg's own left out. */
const added = (root: DebianRoot): string[] =>
  root
    .sh('cd /media; find . -path ./var/lib/dpkg -prune -o -print; find /run/flannel /run/heddle 2>&- || :')
    .split('\n')
    .map((path) => path.replace(/^\./, ''))
    .filter((path) => path.startsWith('/run/') || !existsSync(path))

test('installed, upgraded, removed, installed again, purged', async () => {
  await using here = await world()
  const { root, segment } = here
  const host = segment.host(1)
  const before = added(root)

  install(root, OLD)
  expect(root.try('systemctl is-enabled flanneld heddle-store').text).toBe('disabled\ndisabled\n')
  expect(root.try('systemctl is-active flanneld heddle-store').text).toBe('inactive\ninactive\n')
  expect(root.sh('flanneld --version; heddle --version')).toContain('heddle v')
  expect(root.sh(`echo '{"cniVersion":"1.0.0"}' | CNI_COMMAND=VERSION /opt/cni/bin/flannel`)).toContain(
    'supportedVersions',
  )

  start(here)
  const whole = await flannelPart(host)
  expect(whole).toContain('10.244.7.0')
  const subnet = root.sh('cat /run/flannel/subnet.env')
  expect(subnet).toContain('FLANNEL_IPMASQ=true')

  const first = pid(root)
  install(root, NEW)
  expect(root.sh('systemctl is-active flanneld')).toBe('active\n')
  expect(pid(root)).not.toBe(first)
  expect(root.sh('cat /etc/flannel/flanneld.conf')).toContain(here.store.endpoint)
  expect(await flannelPart(host)).toBe(whole)

  root.sh('dpkg --remove heddle')
  expect(root.try('test -e /usr/bin/heddle -o -e /opt/cni').status).toBe(1)
  expect(root.sh('stat -c "%U %a" /var/lib/heddle/for-purge')).toBe('root 700\n')
  expect(root.sh('test -e /etc/flannel/flanneld.conf; cat /run/flannel/subnet.env')).toBe(subnet)
  expect(await flannelPart(host)).toBe(whole)

  install(root, NEW)
  expect(root.try('test -e /var/lib/heddle/for-purge').status).toBe(1)
  expect(root.try('systemctl is-enabled flanneld').text).toBe('enabled\n')
  root.sh('systemctl start flanneld')
  expect(root.sh('cat /run/flannel/subnet.env')).toBe(subnet)
  expect(await flannelPart(host)).toBe(whole)

  const leases = here.store.leases().size
  root.sh('dpkg --purge heddle')
  expect(await flannelPart(host)).toBe('')
  expect(here.store.leases().size).toBe(leases - 1)
  expect(root.try('getent passwd heddle').text).toBe('')
  expect(added(root).filter((path) => !before.includes(path))).toEqual([])
})

test('what is not heddle’s stays: another plugin, a network that another flanneld has taken over', async () => {
  await using here = await world()
  const { root, segment } = here
  root.sh('mkdir -p /opt/cni/bin; cp /bin/true /opt/cni/bin/flannel')
  expect(install(root, OLD)).toContain('/opt/cni/bin/flannel is another flannel plugin and stays')
  start(here)
  const whole = await flannelPart(segment.host(1))
  // By its name alone it is one.
  root.sh('cp /bin/sleep /tmp/flanneld; setsid /tmp/flanneld 600 >&- 2>&- &')
  expect(root.sh('dpkg --purge heddle')).toMatch(/refused: flanneld runs here .*\n.*the network stays/)
  expect(await flannelPart(segment.host(1))).toBe(whole)
  root.sh('cmp /bin/true /opt/cni/bin/flannel; test -e /run/flannel/subnet.env; ! test -e /run/heddle')

  // Nor has one to do with it that never ran.
  install(root, OLD)
  root.sh('dpkg --purge heddle; test -e /run/flannel/subnet.env')
  expect(await flannelPart(segment.host(1))).toBe(whole)
})

test('where systemd doesn’t run it is installed and purged all the same', async () => {
  await using here = await world()
  const { root } = here
  const before = added(root)
  root.sh(`unshare --mount sh -ec '
    mount -t tmpfs tmpfs /run
    dpkg --force-unsafe-io --install /mnt/${debs.get(OLD)}; heddle --version; dpkg --purge heddle
  '`)
  expect(added(root).filter((path) => !before.includes(path))).toEqual([])
})
