// What systemd hears from the compiled executable, on a real UNIX datagram socket in its place; and signals.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatagramInbox } from '../support/datagrams.ts'
import { FLANNELD } from '../support/executable.ts'
import { Flanneld } from '../support/flanneld.ts'
import { kernel } from '../support/kernel.ts'
import { Running } from '../support/process.ts'
import { Segment } from '../support/segment.ts'
import { CONFIG_KEY, networkConfig, TestStore } from '../support/stores.ts'

setDefaultTimeout(60_000)

const CONFIG = networkConfig({ Type: 'vxlan' })
const WATCHDOG = { WATCHDOG_USEC: '400000' }

describe('systemd hears', () => {
  test('what is waited for, READY once the network is, the watchdog, a reload, STOPPING', async () => {
    await using segment = await Segment.create(1)
    const host = segment.host(1)
    await using store = await TestStore.start('etcd', segment)
    using inbox = new DatagramInbox(join(host.folder, 'notify'))
    const env = { NOTIFY_SOCKET: inbox.path, ...WATCHDOG }
    await using flanneld = Flanneld.launch(host, store, { env })
    await inbox.message(/^STATUS=waiting for the network config$/)
    await inbox.message(/^WATCHDOG=1$/)
    expect(inbox.received.join('\n')).not.toContain('READY')
    store.put(CONFIG_KEY, CONFIG)
    await inbox.message(/^READY=1$/)
    await inbox.message(/^STATUS=running$/)
    await inbox.message(/^WATCHDOG=1$/, { from: inbox.received.length })

    const from = inbox.received.length
    flanneld.process.signal('SIGHUP')
    const [, microseconds = ''] =
      /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(await inbox.message(/^RELOADING=1/, { from })) ?? []
    // /proc/uptime counts time asleep too.
    const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
    expect(Number(microseconds) / 1e6).toBeWithin(uptime / 10, uptime + 1)
    await inbox.message(/^READY=1$/, { from })

    await flanneld.end('SIGTERM')
    await inbox.message(/^STOPPING=1\nSTATUS=SIGTERM: shutting down$/)
  })

  test('the same in the abstract name space, and no beat of a process that stands still', async () => {
    await using segment = await Segment.create(1)
    const host = segment.host(1)
    await using store = await TestStore.start('etcd', segment, CONFIG)
    // Abstract names belong to a network namespace.
    using inbox = host.namespace.run(() => new DatagramInbox('@heddle-test'))
    const env = { NOTIFY_SOCKET: inbox.path, ...WATCHDOG }
    await using flanneld = await Flanneld.start(host, store, { env })
    await inbox.message(/^READY=1$/)
    flanneld.process.signal('SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, 100))
    inbox.take()
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(inbox.take()).toEqual([])
    flanneld.process.signal('SIGCONT')
    await inbox.message(/^WATCHDOG=1$/, { from: inbox.received.length })
  })

  test('nothing but states where no watchdog is asked for', async () => {
    await using segment = await Segment.create(1)
    const host = segment.host(1)
    await using store = await TestStore.start('etcd', segment, CONFIG)
    using inbox = new DatagramInbox(join(host.folder, 'notify'))
    await using _ = await Flanneld.start(host, store, { env: { NOTIFY_SOCKET: inbox.path } })
    await inbox.message(/^STATUS=running$/)
    expect(inbox.received.filter((text) => !/^(STATUS=.+|READY=1)$/.test(text))).toEqual([])
  })

  test('that the start failed, and why', async () => {
    await using host = await kernel()
    using inbox = host.namespace.run(() => new DatagramInbox('@heddle-test'))
    const args = ['--bounding-set=-net_admin', FLANNELD, '--status-socket=', '--config-file=']
    const env = { NOTIFY_SOCKET: inbox.path }
    await using flanneld = Running.start('setpriv', args, { namespace: host.namespace, env })
    expect((await flanneld.ended).code).toBe(1)
    await inbox.message(/^STOPPING=1\nSTATUS=.*CAP_NET_ADMIN/)
  })

  test('nobody, where nobody listens: said once, and all goes on', async () => {
    await using segment = await Segment.create(1)
    const host = segment.host(1)
    await using store = await TestStore.start('etcd', segment, CONFIG)
    const env = { NOTIFY_SOCKET: join(host.folder, 'none') }
    await using flanneld = await Flanneld.start(host, store, { env })
    expect(flanneld.process.matching(/^W\d{4} .*systemd can't be told.*ENOENT/)).toHaveLength(1)
  })
})

describe('signals:', () => {
  test('SIGHUP reads the options again: those of the log are in force, others are named, a bad file changes nothing', async () => {
    await using segment = await Segment.create(1)
    const host = segment.host(1)
    await using store = await TestStore.start('etcd', segment, CONFIG)
    const file = join(host.folder, 'flanneld.conf')
    writeFileSync(file, 'FLANNELD_V=0\n')
    await using flanneld = await Flanneld.start(host, store, { args: [`--config-file=${file}`] })
    const hup = async (text: string, pattern: RegExp) => {
      writeFileSync(file, text)
      const from = flanneld.process.lines.length
      flanneld.process.signal('SIGHUP')
      return await flanneld.process.line(pattern, { from })
    }
    expect(await hup('FLANNELD_V=0\n', /SIGHUP: /)).toEndWith('options read again: nothing has changed')
    expect(await hup('FLANNELD_V=2\nFLANNELD_IP_MASQ=true\n', /SIGHUP: /)).toEndWith(
      'now in force: --v; changed, in force after a restart: --ip-masq',
    )
    const from = flanneld.process.lines.length
    await host.sh('ip link set flannel.1 down')
    await flanneld.process.line(/a round of programming took/, { from })
    expect(await hup('FLANNELD_V=banana(\n', /^E\d{4} .*SIGHUP: /)).toContain(`${file}:1:`)
    expect(await hup('FLANNELD_V=2\nFLANNELD_LOG_FORMAT=json\n', /SIGHUP/)).toContain('"level":"info"')
    expect(flanneld.process.running).toBe(true)
    expect((await flanneld.report()).ready).toBe(true)
  })
})
