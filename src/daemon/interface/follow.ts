// Waits for the interface between hosts, then follows it: what changes is put in force at once. While there is none the
// data plane stays as it is.
import { persist } from '../../dataplane/pause.ts'
import type { NetworkConfig } from '../../model/net-config.ts'
import { log } from '../../sys/log.ts'
import type { Identity } from '../identity.ts'
import type { Network } from '../network.ts'
import type { Options } from '../options.ts'
import type { Report } from '../report.ts'
import type { Chosen, InterfaceWish, Stack } from './choose.ts'
import type { ExternalInterface } from './external-interface.ts'

const logger = log.from('follow.ts')
const ABOUT = { about: 'interface' }

export const wishOf = (options: Options): InterfaceWish => ({
  iface: options.iface,
  ifaceRegex: options['iface-regex'],
  canReach: options['iface-can-reach'],
  publicIp: options['public-ip'],
  publicIpv6: options['public-ipv6'],
})

/** The addresses that the interface must have: one of each family of the network. */
export const stackOf = ({ ipv4, ipv6 }: NetworkConfig): Stack =>
  ipv6 === undefined ? 'ipv4' : ipv4 === undefined ? 'ipv6' : 'dual'

/** As soon as there is one. */
export async function firstInterface(
  external: ExternalInterface,
  report: Report,
  signal: AbortSignal,
): Promise<Chosen> {
  let told = ''
  for (;;) {
    const found = external.look()
    if (typeof found !== 'string') {
      announce(found)
      report.external = found
      report.interfaceLack = undefined
      return found
    }
    report.interfaceLack = found
    if (found !== told) {
      report.phase = `waiting for the interface between hosts: ${found}`
      logger.error(`no interface for traffic between hosts: ${found}; waiting for it`, ABOUT)
    }
    told = found
    if (!(await external.stirred(signal))) throw signal.reason as Error
  }
}

export interface Moving {
  readonly external: ExternalInterface
  readonly identity: Identity
  readonly network: Network
  readonly report: Report
  readonly store: { addressesAre(addresses: ReadonlySet<string>): void }
}

/** Follows the interface; `moved` is told when this host is another to its peers or devices. */
export class InterfaceFollower {
  readonly #parts: Moving
  /** Whoever puts changes in force sets this. */
  moved: (now: Chosen, before: Chosen) => void = () => undefined

  constructor(parts: Moving) {
    this.#parts = parts
  }

  /** Never returns: rejects with the signal's reason. A host that can't be read now is read again. */
  async follow(signal: AbortSignal): Promise<never> {
    const { external } = this.#parts
    const act = async () => {
      do this.#look()
      while (await external.stirred(signal))
    }
    await persist(act, signal, (error, pauseMs) =>
      logger.error(
        `the interface between hosts can't be looked at (${String(error)}): again in ${pauseMs} ms`,
        {
          about: 'look',
        },
      ),
    )
    throw signal.reason as Error
  }

  #look(): void {
    const { external, identity, network, report, store } = this.#parts
    const { backend } = network
    const found = external.look()
    store.addressesAre(external.addresses)
    if (typeof found === 'string') return this.#lack(found)
    const before = identity.place
    const refusal = backend.refuses(identity.selfAt(found, []))
    if (refusal !== undefined) return this.#lack(`the ${backend.type} back end can't run there: ${refusal}`)
    if (report.interfaceLack !== undefined)
      logger.info(`${found.link} serves traffic between hosts again`, ABOUT)
    report.interfaceLack = undefined
    const changes = differences(before, found)
    if (changes.length === 0) return
    logger.warning(`the interface between hosts has changed: ${changes.join(', ')}; the subnet stays`, ABOUT)
    identity.move(found)
    report.external = found
    this.moved(found, before)
  }

  #lack(reason: string): void {
    const { report } = this.#parts
    if (report.interfaceLack === reason) return
    report.interfaceLack = reason
    logger.error(
      `no interface for traffic between hosts: ${reason}; all stays as it is until there is one`,
      ABOUT,
    )
  }
}

function announce({ link, ipv4, ipv6, publicIp, publicIpv6, passedOver = [] }: Chosen): void {
  for (const reason of passedOver) logger.info(`Could not find valid interface: ${reason}`)
  if (ipv4 !== undefined) logger.info(`Using interface with name ${link} and address ${ipv4}`)
  if (ipv6 !== undefined) logger.info(`Using interface with name ${link} and v6 address ${ipv6}`)
  for (const [name, own, external] of [
    ['', ipv4, publicIp],
    [' v6', ipv6, publicIpv6],
  ])
    if (own === external && own !== undefined)
      logger.info(`Defaulting external${name} address to interface address (${own})`)
    else if (external !== undefined) logger.info(`Using ${external} as external address`)
}

/** What is another now, for people. */
const differences = (before: Chosen, now: Chosen): string[] =>
  (
    [
      ['interface', before.link, now.link],
      ['index', before.index, now.index],
      ['address', before.ipv4, now.ipv4],
      ['v6 address', before.ipv6, now.ipv6],
      ['public address', before.publicIp, now.publicIp],
      ['public v6 address', before.publicIpv6, now.publicIpv6],
      ['MTU', before.mtuBytes, now.mtuBytes],
    ] as const
  )
    .filter(([, was, is]) => was !== is)
    .map(([what, was, is]) => `${what} ${is ?? 'none'} (was ${was ?? 'none'})`)
