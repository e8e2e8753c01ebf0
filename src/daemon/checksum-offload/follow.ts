// Asks peers once there are some, and again when a tunnel device or the interface between hosts is another, whether
// checksums that the kernel leaves to the device arrive; where they don't, has it switched off. Nothing is asked else.
import { setTimeout } from 'node:timers/promises'
import { persist } from '../../dataplane/pause.ts'
import type { Reconciler } from '../../dataplane/reconciler.ts'
import type { UnderlayWatch } from '../../dataplane/underlay.ts'
import type { Finding } from '../../offload/survey.ts'
import type { Ip } from '../../model/ip.ts'
import { subnetsOf } from '../../model/lease.ts'
import { Bell } from '../../sys/bell.ts'
import { Ethtool } from '../../sys/ethtool.ts'
import { isSysError } from '../../sys/libc.ts'
import { log } from '../../sys/log.ts'
import type { Landlord } from '../acquire.ts'
import type { Fabric } from '../fabric.ts'
import type { Tenancy } from '../tenancy.ts'
import type { Known, OffloadState } from './state.ts'

const logger = log.from('checksum-offload.ts')
const ABOUT = { about: 'checksum offload' }

/** By kube-proxy, on what it is going to masquerade: the encapsulated packet inherits it. */
const KUBE_PROXY_MARK = 0x4000
const MOST_ASKED = 6
/** Leases looked at for peers behind the tunnel. */
const MOST_LOOKED_AT = 200
/** What stirs comes in bursts, and stirs again and again where leases keep changing. */
const GATHER_MS = 500
/** A peer whose flanneld has just started can't answer yet. */
const AGAIN_MS = [3_000, 30_000, 120_000] as const

interface OffloadParts extends Pick<Landlord, 'report' | 'network' | 'identity'> {
  readonly offload: OffloadState
  readonly fabric: Fabric
  readonly reconciler: Pick<Reconciler, 'settled'>
  readonly tenancy: Pick<Tenancy, 'lease'>
  readonly underlay: UnderlayWatch
}

interface Tunnel {
  readonly device: string
  readonly source: Ip
  readonly targets: readonly Ip[]
}

export class OffloadFollower implements Disposable {
  readonly #parts: OffloadParts
  readonly #ethtool = new Ethtool()
  readonly #bell = new Bell()
  /** The interface below each device when its peers could tell. */
  readonly #askedOver = new Map<string, string>()
  /** How often those that said nothing have been asked again. */
  #tries = 0
  /** How many peers there were then. */
  #peersAsked = 0

  constructor(parts: OffloadParts) {
    this.#parts = parts
  }

  /** Never returns: rejects with the signal's reason. */
  async follow(signal: AbortSignal): Promise<never> {
    const act = async () => {
      while (!signal.aborted) {
        const situation = this.#situation()
        await this.#askAll(signal)
        await this.#occasion(situation, signal)
      }
    }
    await persist(act, signal, (error, pauseMs) =>
      logger.error(`peers can't be asked about checksums (${String(error)}): again in ${pauseMs} ms`, ABOUT),
    )
    throw signal.reason as Error
  }

  /** All that an answer may depend on here. */
  #situation(): string {
    const devices = this.#devices().map(({ device }) => {
      const index = this.#ethtool.index(device)
      return `${device} ${index} ${this.#ethtool.txChecksum(device)}`
    })
    return [this.#interface(), ...devices].join()
  }

  #interface(): string {
    const { link, index } = this.#parts.identity.place
    return `${link} ${index}`
  }

  /** This host's tunnel devices with the address that peers answer to. */
  #devices(): { device: string; source: Ip }[] {
    const { network, identity, tenancy } = this.#parts
    const objects = network.backend.devices(identity.self(subnetsOf(tenancy.lease)))
    return objects.flatMap((object) =>
      object.kind === 'address' ? [{ device: object.link, source: object.ip }] : [],
    )
  }

  /** Waits until there is reason to ask again. */
  async #occasion(situation: string, signal: AbortSignal): Promise<void> {
    const { report, fabric } = this.#parts
    const isOpen = this.#devices().some(({ device }) => this.#isOpen(device))
    const pauseMs = isOpen && this.#peersAsked > 0 ? (AGAIN_MS[this.#tries] ?? Infinity) : Infinity
    const againAt = performance.now() + pauseMs
    for (;;) {
      void report.stirring().then(() => this.#bell.ring())
      await this.#bell.wait(Math.max(1, againAt - performance.now()), signal)
      await setTimeout(GATHER_MS, undefined, { signal })
      if (performance.now() >= againAt) {
        this.#tries++
        return
      }
      const isMany = isOpen && fabric.peers().length > 2 * this.#peersAsked
      if (isMany || this.#situation() !== situation) {
        this.#tries = 0
        return
      }
    }
  }

  /** Whether nobody could tell yet, over the interface that there is. */
  #isOpen(device: string): boolean {
    const known = this.#parts.offload.known(device)
    if (known === 'as found' || known === 'forbidden') return false
    return this.#askedOver.get(device) !== this.#interface()
  }

  async #askAll(signal: AbortSignal): Promise<void> {
    await Promise.all(
      this.#devices().map(({ device, source }) =>
        this.#askAbout({ device, source, targets: this.#targets(device) }, signal),
      ),
    )
    this.#peersAsked = this.#parts.fabric.peers().length
  }

  async #askAbout(tunnel: Tunnel, signal: AbortSignal): Promise<void> {
    const { device, targets } = tunnel
    const { offload } = this.#parts
    const below = this.#interface()
    const before = offload.known(device)
    const isOurs = offload.wishFor(device) === false
    if (isOurs && this.#askedOver.get(device) === below) return
    if (!isOurs && this.#ethtool.txChecksum(device) === false) return this.#learn(device, 'as found')
    if (targets.length === 0) return
    if (isOurs) await this.#change(device, 'asking again', signal)
    const found = await this.#survey(tunnel, signal)
    signal.throwIfAborted()
    if (found === 'forbidden') return this.#learn(device, found)
    const isTold = found !== undefined && found.verdict !== 'unknown'
    if (isTold) this.#askedOver.set(device, below)
    // Of what nobody could tell, the last that was known stands.
    const known = isOurs && !isTold ? before : found
    if (known !== undefined) await this.#change(device, known, signal)
  }

  async #survey(tunnel: Tunnel, signal: AbortSignal): Promise<Finding | 'forbidden' | undefined> {
    const { survey } = await import('../../offload/survey.ts')
    try {
      return await survey(tunnel, tunnel.targets, [KUBE_PROXY_MARK], signal)
    } catch (error) {
      if (isSysError(error, 'EPERM', 'EACCES')) return 'forbidden'
      throw error
    }
  }

  async #change(device: string, known: Known, signal: AbortSignal): Promise<void> {
    const { offload, fabric, reconciler } = this.#parts
    const wish = offload.wishFor(device)
    this.#learn(device, known)
    if (offload.wishFor(device) === wish) return
    fabric.equip()
    await reconciler.settled(signal)
  }

  /** Each verdict once. */
  #learn(device: string, known: Known): void {
    const { offload } = this.#parts
    const before = offload.why(device)
    offload.learn(device, known)
    const why = offload.why(device)
    if (why === before) return
    if (known === 'forbidden') logger.warning(`tx-checksumming of ${device}: ${why}`, ABOUT)
    else if (typeof known !== 'object') logger.info(`tx-checksumming of ${device}: ${why}`, ABOUT)
    else if (known.verdict === 'bad')
      logger.warning(
        `tx-checksumming of ${device} is switched off, for ${why}. Pods have less throughput so; a newer kernel or driver may mend it, and --checksum-offload=on leaves it on`,
        ABOUT,
      )
    else if (known.verdict === 'odd')
      logger.warning(
        `tx-checksumming of ${device}: ${why}; look for what is wrong with that host's way, or switch it off by --checksum-offload=off`,
        ABOUT,
      )
    else logger.debug(1, `tx-checksumming of ${device}: ${why}`)
  }

  /** Addresses of peers on the device, some at random. */
  #targets(device: string): Ip[] {
    const { fabric, network, identity, tenancy, underlay } = this.#parts
    const self = identity.self(subnetsOf(tenancy.lease))
    const found: Ip[] = []
    for (const lease of shuffled(fabric.peers()).slice(0, MOST_LOOKED_AT)) {
      for (const object of network.backend.reach(lease, self, underlay).objects)
        if (object.kind === 'neighbour' && object.link === device) found.push(object.ip)
      if (found.length >= MOST_ASKED) break
    }
    return found
  }

  [Symbol.dispose](): void {
    this.#ethtool[Symbol.dispose]()
  }
}

/** Of Fisher and Yates. */
function shuffled<T>(items: readonly T[]): T[] {
  const all = [...items]
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    const [a, b] = [all[i], all[j]]
    if (a !== undefined && b !== undefined) [all[i], all[j]] = [b, a]
  }
  return all
}
