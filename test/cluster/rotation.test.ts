// TLS files renewed and replaced under traffic, with three members and mutual TLS: no packet is lost, no kernel is written
// to, nothing is missed; what doesn't work is said once, and the connection of before stays.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { Authority } from '../support/authority.ts'
import { ClusterWorld } from '../support/cluster-world.ts'
import { eventually } from '../support/process.ts'
import { parsePrometheus } from '../support/prometheus.ts'

setDefaultTimeout(60_000)

const inDays = (days: number) => new Date(Date.now() + days * 24 * 3600 * 1000)

describe('the certificates of a cluster', () => {
  let world: ClusterWorld
  beforeAll(async () => {
    world = await ClusterWorld.start({ hosts: 2 })
  })
  afterAll(() => world[Symbol.asyncDispose]())

  /** Each daemon says so, after `act`. */
  const said = async (act: () => void, words: RegExp) => {
    const from = world.daemons.map(({ process }) => process.lines.length)
    act()
    for (const [index, daemon] of world.daemons.entries())
      await eventually(
        `${daemon.host.name} says ${words}`,
        () => daemon.process.lines.slice(from[index]).some((line) => words.test(line)) || undefined,
        20,
      )
  }
  /** Every daemon follows the store: there is a connection that another can take over from. */
  const calm = async () => {
    for (const daemon of world.daemons)
      await eventually(`${daemon.host.name} has no trouble with the store`, async () => {
        const troubles = Object.keys((await daemon.report()).store?.troubles ?? {})
        return troubles.every((who) => who === 'certificates') || undefined
      })
  }
  const TAKEN_OVER = /a connection with the new ones has taken over/
  const KEPT = /^W.* do not work yet, the connection there is stays: .*certificate/i

  test('renewed for clients and members: both are shown at once', async () => {
    const { certificates } = world.cluster
    const notAfter = inDays(100)
    await world.undisturbed(async () => {
      certificates.renewMembers({ notAfter })
      await said(() => certificates.renewClient({ notAfter }), TAKEN_OVER)
    })
    await world.hears()
    for (const daemon of world.daemons) {
      const metrics = parsePrometheus((await daemon.ask('/metrics')).body)
      const ends = metrics.get('heddle_certificate_expiry_timestamp_seconds')?.series ?? []
      const inUse = ends
        .filter(({ value }) => Math.abs(value - notAfter.getTime() / 1000) < 1)
        .map(({ labels }) => labels['from'])
      expect(inUse).toEqual([certificates.client.cert, expect.stringMatching(/^https:\/\/.*:2379$/)])
    }
  })

  test('run out: said once, and nothing else happens until there is a good one', async () => {
    const { certificates } = world.cluster
    await world.undisturbed(async () => {
      await said(() => certificates.renewClient({ notAfter: inDays(-1) }), KEPT)
      await calm()
      await said(() => certificates.renewClient(), TAKEN_OVER)
    })
    await world.hears()
  })

  test('of another authority: all at once first, which works for nobody, then step by step', async () => {
    const { cluster } = world
    const { certificates } = cluster
    const [old, next] = [certificates.authority, new Authority('next CA')]
    await world.undisturbed(async () => {
      certificates.authority = next
      await said(() => {
        certificates.clientTrusts(next)
        certificates.renewClient()
      }, KEPT)
      certificates.authority = old
      await said(() => {
        certificates.renewClient()
        certificates.clientTrusts(old, next)
      }, TAKEN_OVER)
      certificates.trust(old, next)
      await cluster.restartInTurn()
      await calm()
      certificates.authority = next
      certificates.renewMembers()
      await said(() => certificates.renewClient(), TAKEN_OVER)
      certificates.trust(next)
      await cluster.restartInTurn()
      await calm()
      await said(() => certificates.clientTrusts(next), TAKEN_OVER)
    })
    await world.hears()
  })

  test('about to end: a warning, once', async () => {
    const { certificates } = world.cluster
    const words = /^W.* the certificate of CN=flanneld in \S+ expires in 9 days/
    await said(() => certificates.renewClient({ notAfter: inDays(9.5) }), words)
  })

  test('looked at when asked to by SIGHUP', async () => {
    await said(() => {
      for (const { process } of world.daemons) process.signal('SIGHUP')
    }, /SIGHUP: certificates read again: nothing has changed/)
  })
})
