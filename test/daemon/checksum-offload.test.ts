// Weak point of flannel's users (63-second delays): a host whose device sums up badly what is tunnelled. flanneld finds out
// by itself, beside heddle's and upstream's hosts, and mends it; where nothing is wrong, or nobody tells, nothing changes.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ethtool } from '../../src/sys/ethtool.ts'
import { BadDevice } from '../support/bad-device.ts'
import { FLANNELD } from '../support/executable.ts'
import { Flanneld, type Make } from '../support/flanneld.ts'
import { eventually, Running } from '../support/process.ts'
import { ipv6Of, Segment, STORE_IP, type Host, type Pod } from '../support/segment.ts'
import { networkConfig, TestStore } from '../support/stores.ts'
import { needsUpstream } from '../support/upstream.ts'

setDefaultTimeout(60_000)
needsUpstream()

const DUAL = { EnableIPv6: true, IPv6Network: 'fd00:5::/48', IPv6SubnetMin: 'fd00:5:0:100::' }
const DEVICES = ['flannel.1', 'flannel-v6.1'] as const

/** Host 1 sits behind a device of its own; hosts 2 and 3 run a flanneld of each make. */
class Scene implements AsyncDisposable {
  readonly #parts: AsyncDisposableStack
  readonly segment: Segment
  readonly device: BadDevice
  readonly #store: TestStore

  private constructor(parts: AsyncDisposableStack, segment: Segment, device: BadDevice, store: TestStore) {
    this.#parts = parts
    this.segment = segment
    this.device = device
    this.#store = store
  }

  static async open(): Promise<Scene> {
    await using parts = new AsyncDisposableStack()
    const segment = parts.use(await Segment.create(3, 'dual'))
    const device = parts.use(await BadDevice.before(segment, 1))
    const store = parts.use(await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }, DUAL)))
    const makes: readonly (readonly [number, Make])[] = [
      [2, 'heddle'],
      [3, 'upstream'],
    ]
    for (const [number, make] of makes) parts.use(await Flanneld.start(segment.host(number), store, { make }))
    return new Scene(parts.move(), segment, device, store)
  }

  get host(): Host {
    return this.segment.host(1)
  }

  start(flag?: string, program = FLANNELD): Promise<Flanneld> {
    const args = ['-v=1', ...(flag === undefined ? [] : [flag])]
    return Flanneld.start(this.host, this.#store, { args, program })
  }

  /** Host 1 gets another interface, of the same name and addresses, and without the device in between. */
  async replug(): Promise<void> {
    const { host, segment } = this
    this.device[Symbol.dispose]()
    await segment.switch.sh(`
      ip link del port1; ip link del in1
      ip link add port1 type veth peer name eth0 netns ${host.namespace.path}; ip link set port1 master br0 up`)
    await host.sh(`
      ip addr add ${host.ip}/24 dev eth0; ip addr add ${host.ipv6}/64 dev eth0 nodad; ip link set eth0 up
      ip route add default via ${STORE_IP}; ip route add default via ${ipv6Of(254)} dev eth0`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync()
  }
}

/** Whether five megabytes get from one pod to the other by TCP within a few seconds. */
async function transfers(from: Pod, to: Pod, ip: string): Promise<boolean> {
  await using server = Running.start('iperf3', ['-s', '-1', '-p', '5300', '--forceflush'], {
    namespace: to.namespace,
  })
  await server.line(/Server listening/)
  try {
    await from.sh(`timeout 8 iperf3 -c ${ip} -p 5300 -n 5M --connect-timeout 1500`)
    return true
  } catch {
    return false
  }
}

const why = async (flanneld: Flanneld) => (await flanneld.report()).checksumOffload ?? {}
const isOff = (told: { txChecksumming?: string } | undefined) => told?.txChecksumming === 'off'
const offloads = (host: Host) => {
  using ethtool = new Ethtool(host.namespace)
  return DEVICES.map((device) => ethtool.txChecksum(device))
}

describe('a device that sums up badly', () => {
  test('is found out and mended by itself, again when the tunnel device is made anew', async () => {
    await using scene = await Scene.open()
    const { host, segment } = scene
    const pods: Pod[] = []
    {
      await using flanneld = await scene.start('--checksum-offload=on')
      pods.push(await host.pod(), await segment.host(2).pod(), await segment.host(3).pod())
      const [pod, ...others] = pods
      if (pod === undefined) expect.unreachable()
      // Packets get through, and connections don't: as users have it.
      for (const other of others) {
        await eventually(`${other.ip} is reached`, async () => (await pod.reaches(other.ip)) || undefined)
        expect(await transfers(pod, other, other.ip)).toBe(false)
      }
      expect(offloads(host)).toEqual([true, true])
      await flanneld.end()
    }
    await using flanneld = await scene.start()
    const off = await eventually('the offload of both devices is off', async () => {
      const told = await why(flanneld)
      return DEVICES.every((device) => isOff(told[device])) ? told : undefined
    })
    for (const device of DEVICES)
      expect(off[device]?.why).toMatch(/don't arrive: \S+ and \S+ never answered such packets/)
    await flanneld.process.line(/tx-checksumming of flannel\.1 is switched off/)
    await eventually('so it is', () => offloads(host).every((on) => on === false) || undefined)
    const metrics = (await flanneld.ask('/metrics')).body
    expect(metrics).toContain('heddle_checksum_offload_off{device="flannel.1"} 1')
    const [pod, ...others] = pods
    if (pod === undefined) expect.unreachable()
    for (const other of others)
      for (const ip of other.ips) expect([ip, await transfers(pod, other, ip)]).toEqual([ip, true])
    await host.sh('ip link del flannel.1')
    await eventually('the new device has it off', () => offloads(host)[0] === false || undefined)
    // Somebody's hand is undone as fast.
    await host.sh('ethtool -K flannel.1 tx on')
    await eventually('it is off again', () => offloads(host)[0] === false || undefined)
    // Over another interface all is well: nobody knows before it is tried.
    await scene.replug()
    await eventually('peers have been asked again', async () => {
      const told = await why(flanneld)
      return DEVICES.every((device) => told[device]?.why.includes('left to the device arrive')) || undefined
    })
    expect(offloads(host)).toEqual([true, true])
  })
})

test('what peers answer, or nobody tells, is left as it is; and so is what somebody else has switched off', async () => {
  await using scene = await Scene.open()
  const { host, segment, device } = scene
  device.device = 'good'
  {
    await using flanneld = await scene.start()
    await flanneld.process.line(/tx-checksumming of flannel-v6\.1: checksums left to the device arrive/)
    const told = await why(flanneld)
    for (const each of DEVICES) expect(told[each]).not.toHaveProperty('txChecksumming')
    expect(told['flannel.1']?.why).toMatch(/arrive: \S+ and \S+ answered/)
    expect(offloads(host)).toEqual([true, true])
    await flanneld.end()
  }
  device.device = 'bad'
  for (const number of [2, 3])
    await segment
      .host(number)
      .sh(
        `nft 'table inet wall { chain in { type filter hook input priority -10; iifname "flannel*" drop; }; }'`,
      )
  {
    await using flanneld = await scene.start()
    await flanneld.process.line(/tx-checksumming of flannel-v6\.1: no peer has answered/)
    expect(offloads(host)).toEqual([true, true])
    // A peer that can answer now is heard when it is asked again.
    await segment.host(2).sh('nft delete table inet wall')
    await flanneld.process.line(/tx-checksumming of flannel\.1 is switched off, for .* never answered/)
    await eventually('it is off', () => offloads(host)[0] === false || undefined)
    await flanneld.end()
  }
  await using flanneld = await scene.start()
  await flanneld.process.line(/tx-checksumming of flannel\.1: somebody else has switched it off: left so/)
  // As its next device is nobody's yet, peers are asked.
  await host.sh('ip link del flannel.1')
  await eventually('the new device has it off', () => offloads(host)[0] === false || undefined)
  expect(isOff((await why(flanneld))['flannel.1'])).toBe(true)
})

test('without CAP_NET_RAW nobody can be asked, which is told once', async () => {
  await using scene = await Scene.open()
  const program = join(scene.host.folder, 'flanneld')
  writeFileSync(program, `#!/bin/sh\nexec setpriv --bounding-set=-net_raw ${FLANNELD} "$@"\n`, {
    mode: 0o755,
  })
  await using flanneld = await scene.start('--mtu-probe=off', program)
  await flanneld.process.line(/tx-checksumming of flannel\.1: peers can't be asked .* CAP_NET_RAW/)
  await flanneld.process.line(/tx-checksumming of flannel-v6\.1: peers can't be asked .* CAP_NET_RAW/)
  expect(offloads(scene.host)).toEqual([true, true])
})

test('--checksum-offload=off switches it off and asks nobody', async () => {
  await using scene = await Scene.open()
  await using flanneld = await scene.start('--checksum-offload=off')
  expect(offloads(scene.host)).toEqual([false, false])
  expect((await why(flanneld))['flannel.1']).toEqual({ txChecksumming: 'off', why: '--checksum-offload=off' })
})
