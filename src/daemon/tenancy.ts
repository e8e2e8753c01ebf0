// This host's lease: followed, taken anew when another host holds it, published as this host changes; and told to the
// host in subnet.env, once there is something to tell.
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { Bell } from '../sys/bell.ts'
import type { Family, Ip } from '../model/ip.ts'
import { subnetsOf, type Json, type Lease, type LeaseAttributes, type LeaseHalf } from '../model/lease.ts'
import { familyOfPrefix, type Prefix } from '../model/prefix.ts'
import { StoreError, type OwnLease } from '../store/store.ts'
import { log } from '../sys/log.ts'
import { acquire, ABOUT, type Landlord } from './acquire.ts'
import { writeSubnetFile } from './subnet-file.ts'

const logger = log.from('tenancy.ts')
const FIRST_RETRY_MS = 500
const LONGEST_RETRY_MS = 30_000

export class Tenancy implements AsyncDisposable {
  readonly #from: Landlord
  #own: OwnLease
  /** From the first `tell` on, a new lease is told at once. */
  #isTold = false
  readonly #publish = new Bell()
  readonly #retell = new Bell()

  private constructor(from: Landlord, own: OwnLease) {
    this.#from = from
    this.#own = own
  }

  /** `previous`: the subnets of subnet.env as it was found. */
  static async begin(from: Landlord, previous: readonly Prefix[], signal: AbortSignal): Promise<Tenancy> {
    return new Tenancy(from, await acquire(from, previous, signal))
  }

  get lease(): Lease {
    return this.#own.lease
  }

  /** Tells `moved` of every change of the lease. When another host holds our subnet now, this one takes a new one. */
  async follow(moved: (lease: Lease) => void, signal: AbortSignal): Promise<never> {
    for (;;) {
      let isLost = false
      for await (const change of this.#own.changes(signal)) {
        isLost = change === 'lost'
        if (change === 'lost') break
        this.#from.report.own = change
        this.#record()
        moved(change)
      }
      signal.throwIfAborted()
      if (!isLost) throw new Error('this host’s lease is no longer kept')
      const { report } = this.#from
      report.ready = false
      report.leasesLost.increment()
      logger.error(
        `the lease ${this.lease.key} belongs to another host now; taking a new one: restart the pods of this host`,
        ABOUT,
      )
      await this.#own[Symbol.asyncDispose]()
      this.#own = await acquire(this.#from, [], signal)
      moved(this.lease)
      this.relocated()
      if (this.#isTold) await this.tell(signal)
    }
  }

  #record(): void {
    const { records, identity } = this.#from
    records.keep(this.#own, identity.publisher)
  }

  /** This host's address or MTU may be another, or what its back end publishes. */
  relocated(): void {
    this.#publish.ring()
    this.#retell.ring()
  }

  /** Publishes what other hosts need of this one whenever it isn't what the lease tells. */
  async publishing(signal: AbortSignal): Promise<never> {
    const { network, identity } = this.#from
    for (;;) {
      const attributes = identity.attributes(network.backend, undefined)
      if (tells(this.lease, attributes)) await this.#publish.wait(Infinity, signal)
      else await this.#update(attributes, signal)
      signal.throwIfAborted()
    }
  }

  async #update(attributes: LeaseAttributes, signal: AbortSignal): Promise<void> {
    this.#record()
    try {
      await this.#own.update(attributes, signal)
      const { publicIp, publicIpv6, backendData, backendV6Data } = attributes
      const told = [
        [publicIp, backendData],
        [publicIpv6, backendV6Data],
      ]
        .filter(([ip]) => ip !== undefined)
        .map(([ip, data]) => `${ip as string} ${JSON.stringify(data)}`)
        .join(' and ')
      logger.info(`The lease ${this.lease.key} tells other hosts of ${told} now`, { about: 'published' })
    } catch (error) {
      if (!(error instanceof StoreError && error.code === 'lost')) throw error
      // `follow` takes another one, with this address.
      await this.#publish.wait(Infinity, signal)
    }
  }

  /** Writes subnet.env anew whenever it tells pods another MTU than they may use. */
  async retelling(signal: AbortSignal): Promise<never> {
    for (;;) {
      const { podMtuBytes } = this.#from.report
      if (podMtuBytes === undefined || podMtuBytes === this.#podMtuBytes)
        await this.#retell.wait(Infinity, signal)
      else await this.#written(signal)
      signal.throwIfAborted()
    }
  }

  /** Writes subnet.env, and again until it works: ready from then on. */
  async tell(signal: AbortSignal): Promise<void> {
    const { report } = this.#from
    this.#isTold = true
    // Two fsyncs: not before the kernel has what it needs.
    this.#record()
    await this.#written(signal)
    report.ready = true
    report.phase = 'running'
  }

  async #written(signal: AbortSignal): Promise<void> {
    const { options, report } = this.#from
    const path = options['subnet-file']
    for (let pause = FIRST_RETRY_MS; ; pause = Math.min(pause * 2, LONGEST_RETRY_MS)) {
      try {
        this.#write(path)
        break
      } catch (error) {
        report.phase = `can't write ${path}: ${error instanceof Error ? error.message : String(error)}`
        logger.error(`${report.phase}; pods can't be started until it is written, trying again`, {
          about: 'subnet file',
        })
      }
      await delay(pause, undefined, { signal })
    }
    // Each time is news.
    logger.info(`Wrote subnet file to ${path}`, { about: 'subnet file', key: `wrote ${performance.now()}` })
  }

  get #podMtuBytes(): number {
    const { network, identity } = this.#from
    return network.backend.podMtuBytes(identity.self(subnetsOf(this.lease)))
  }

  #write(path: string): void {
    const { options, report, network } = this.#from
    const half = (family: Family) => {
      const range = network.config[family]
      const subnet = subnetsOf(this.lease).find((each) => familyOfPrefix(each) === family)
      return range && subnet && { network: range.network, subnet }
    }
    const mtuBytes = this.#podMtuBytes
    writeSubnetFile(path, {
      ipv4: half('ipv4'),
      ipv6: half('ipv6'),
      mtuBytes,
      ipMasq: options['ip-masq'],
    })
    report.podMtuBytes = mtuBytes
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own[Symbol.asyncDispose]()
  }
}

/** Whether a lease tells all that this host publishes. */
const tells = ({ backendType, ipv4, ipv6 }: Lease, wanted: LeaseAttributes): boolean =>
  backendType === wanted.backendType &&
  tellsHalf(ipv4, wanted.publicIp, wanted.backendData) &&
  tellsHalf(ipv6, wanted.publicIpv6, wanted.backendV6Data)

/** Of a family that the lease has no subnet of, nothing is told. */
const tellsHalf = (
  half: LeaseHalf<Ip> | undefined,
  publicIp: Ip | undefined,
  data: Json | undefined,
): boolean => half === undefined || (half.publicIp === publicIp && isDeepStrictEqual(half.backendData, data))
