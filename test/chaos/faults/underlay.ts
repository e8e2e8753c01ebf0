// Faults of the interface between hosts. Its addresses and default routes are the network service's to put back, and
// are back when a fault is over.
import { setTimeout as pause } from 'node:timers/promises'
import { choose, wholeNumber, type Fault, type Scene } from './fault.ts'

const MTUS = [1400, 1450, 1500]
const NAMES = ['eth0', 'lan0', 'enp1s0']
const portOf = ({ site }: Scene): string => `port${site.number}`

/** As the network service would have it after a change. */
const readdress = ({ site }: Scene): Promise<string> => site.shell.run(site.addressing)

async function rename({ site, random }: Scene): Promise<void> {
  const { name } = site.underlay
  site.underlay.name = choose(
    random,
    NAMES.filter((other) => other !== name),
  )
  await site.shell.run(`ip link set ${name} name ${site.underlay.name}`)
}

export const UNDERLAY_FAULTS: readonly Fault[] = [
  {
    name: 'underlay down and up',
    async *run(scene) {
      const { site, random } = scene
      await site.shell.run(`ip link set ${site.underlay.name} down`)
      yield 'broken'
      await pause(random() * 300)
      await site.shell.run(`ip link set ${site.underlay.name} up`)
      await readdress(scene)
      yield 'over'
    },
  },
  {
    name: 'underlay without a carrier',
    async *run(scene) {
      const { world, random } = scene
      await world.segment.switch.sh(`ip link set ${portOf(scene)} down`)
      yield 'broken'
      await pause(random() * 300)
      await world.segment.switch.sh(`ip link set ${portOf(scene)} up`)
      yield 'over'
    },
  },
  {
    // Most kernels rename a link only while it is down.
    name: 'underlay renamed while down',
    async *run(scene) {
      const { name } = scene.site.underlay
      await scene.site.shell.run(`ip link set ${name} down`)
      yield 'broken'
      await rename(scene)
      await scene.site.shell.run(`ip link set ${scene.site.underlay.name} up`)
      await readdress(scene)
      yield 'over'
    },
  },
  {
    name: 'underlay renamed',
    async *run(scene) {
      await rename(scene)
      yield 'over'
    },
  },
  {
    name: 'underlay with other addresses',
    async *run(scene) {
      const { site, random } = scene
      const last = site.number + 10 * wholeNumber(random, 1, 9)
      site.underlay.ip.ipv4 = `192.168.100.${last}`
      site.underlay.ip.ipv6 = `fd00:100::${last}`
      await site.shell.run(`ip address flush dev ${site.underlay.name} scope global`)
      await readdress(scene)
      yield 'broken'
      yield 'over'
    },
  },
  {
    name: 'underlay with another MTU',
    async *run(scene) {
      const { site, random } = scene
      const { name, mtuBytes } = site.underlay
      site.underlay.mtuBytes = choose(
        random,
        MTUS.filter((mtu) => mtu !== mtuBytes),
      )
      await site.shell.run(`ip link set ${name} mtu ${site.underlay.mtuBytes}`)
      yield 'broken'
      yield 'over'
    },
  },
  {
    name: 'underlay with another MAC',
    async *run({ site, random }) {
      const last = wholeNumber(random, 10, 99)
      await site.shell.run(`ip link set ${site.underlay.name} address 02:ba:d2:00:0${site.number}:${last}`)
      yield 'over'
    },
  },
  {
    name: 'underlay unplugged and plugged in again',
    async *run(scene) {
      const { world, site, random } = scene
      const { name, mtuBytes } = site.underlay
      const { mac } = site.host.link(name)
      await site.shell.run(`ip link del ${name}`)
      yield 'broken'
      await pause(random() * 300)
      await world.segment.switch.sh(
        `ip link add ${portOf(scene)} type veth peer name ${name} address ${mac} mtu ${mtuBytes} netns ${site.host.namespace.path}
        ip link set ${portOf(scene)} master br0 up`,
      )
      await site.shell.run(`ip link set ${name} up\n${site.addressing}`)
      yield 'over'
    },
  },
]
