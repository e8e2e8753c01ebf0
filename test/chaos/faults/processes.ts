// Faults of who heals: flanneld ends or stops, the store goes or freezes, or says something new.
// Harm is done meanwhile, of a kind that the seed chooses.
import { setTimeout as pause } from 'node:timers/promises'
import type { World } from '../world.ts'
import { deviceOf, FAMILIES } from '../family.ts'
import { madeUp } from '../leases.ts'
import { snapshot } from '../snapshot.ts'
import { DEVICE_FAULTS } from './devices.ts'
import { choose, wholeNumber, type Fault, type Scene } from './fault.ts'
import { TABLE_FAULTS } from './tables.ts'

/** Up to three, in the host whose flanneld can't see them. */
async function harm(scene: Scene): Promise<void> {
  for (let left = wholeNumber(scene.random, 1, 3); left > 0; left--) {
    const fault = choose(scene.random, [...DEVICE_FAULTS, ...TABLE_FAULTS])
    for await (const moment of fault.run({ ...scene, isCrowded: true })) if (moment === 'broken') break
  }
}

/** A flanneld that starts keeps the MACs that its devices have, and tells them to the others. */
async function adoptMacs({ world, site }: Scene): Promise<void> {
  const lease = world.leases.get(site.host.subnet)
  if (lease === undefined) throw new Error(`${site.name} has no lease`)
  const links = (await snapshot(site.shell)).filter(({ kind }) => kind === 'link').map(({ fields }) => fields)
  for (const family of FAMILIES) {
    const half = lease[family]
    const device = links.find(({ name, id }) => name === deviceOf(family) && id === 1)
    if (half !== undefined && device !== undefined) half.mac = String(device['mac'])
  }
}

/** A new peer, or another one in its place. None goes: hosts keep one for a while whose lease went as they were away. */
function changeLeases({ store, leases }: World, random: () => number): void {
  const { key, value, lease } = madeUp(wholeNumber(random, 10, 80), wholeNumber(random, 1, 9))
  leases.set(lease.ipv4?.subnet ?? '', lease)
  store.put(`/coreos.com/network/subnets/${key}`, value)
}

export const PROCESS_FAULTS: readonly Fault[] = [
  {
    name: 'flanneld killed',
    async *run(scene) {
      const { site, random } = scene
      await site.flanneld.end('SIGKILL')
      await harm(scene)
      yield 'broken'
      await pause(random() * 200)
      await adoptMacs(scene)
      site.launch()
      yield 'over'
    },
  },
  {
    name: 'flanneld stopped',
    async *run(scene) {
      const { site, random } = scene
      site.flanneld.process.signal('SIGSTOP')
      try {
        await harm(scene)
        yield 'broken'
        await pause(random() * 500)
      } finally {
        site.flanneld.process.signal('SIGCONT')
      }
      yield 'over'
    },
  },
  {
    name: 'store killed',
    isAlone: true,
    async *run(scene) {
      const { world, random } = scene
      world.hasStore = false
      await world.store.server.kill()
      await harm(scene)
      yield 'broken'
      // All but the leases can be healed without a store.
      yield 'over'
      await pause(random() * 500)
      await world.store.server.up()
      world.hasStore = true
      changeLeases(world, random)
      yield 'over'
    },
  },
  {
    name: 'store frozen',
    isAlone: true,
    async *run(scene) {
      const { world, random } = scene
      world.hasStore = false
      world.store.server.freeze()
      try {
        await harm(scene)
        yield 'broken'
        yield 'over'
        await pause(random() * 500)
      } finally {
        world.store.server.thaw()
        world.hasStore = true
      }
      changeLeases(world, random)
      yield 'over'
    },
  },
  {
    name: 'leases changed',
    isAlone: true,
    async *run({ world, random }) {
      for (let left = wholeNumber(random, 1, 3); left > 0; left--) changeLeases(world, random)
      yield 'broken'
      yield 'over'
    },
  },
]
