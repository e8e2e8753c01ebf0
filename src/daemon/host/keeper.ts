// This host around its data plane: wishes for its kernel settings, which follow its devices, its peers and what else
// decides them; and an eye on connection tracking. Nothing tells of either, so both are looked at once a minute.
import { setTimeout as delay } from 'node:timers/promises'
import type { Self } from '../../backend/backend.ts'
import type { FormerSetting, FormerSettings } from '../../dataplane/former-settings.ts'
import type { Reconciler } from '../../dataplane/reconciler.ts'
import { readConntrack } from '../../host/conntrack-reading.ts'
import { ConntrackWatch, type ConntrackReading } from '../../host/conntrack-watch.ts'
import type { ConntrackWish } from '../../host/conntrack.ts'
import { readHostFacts } from '../../host/facts.ts'
import { hostSettings } from '../../host/settings.ts'
import { FAMILIES, familyOf } from '../../model/ip.ts'
import type { Sysctl } from '../../model/kernel.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import { isSysError } from '../../sys/libc.ts'
import { log } from '../../sys/log.ts'
import type { Network } from '../network.ts'
import type { Options } from '../options.ts'
import type { Report } from '../report.ts'

const logger = log.from('host.ts')
/** As often as the reconciler's audit, and like it not at the same second on all hosts. */
const EVERY_MS = 60_000
const JITTER = 0.2
/** The start is over by then. */
const FIRST_MS = 5_000
/** To the reconciler. */
export const HOST_SOURCE = 'host'

export interface HostOf {
  readonly network: Network
  readonly self: Self
  readonly peers: number
  readonly options: Options
  readonly former: readonly FormerSetting[]
}

const conntrackOf = (options: Options): ConntrackWish => ({
  maxPerCore: options['conntrack-max-per-core'],
  min: options['conntrack-min'],
  tcpEstablishedSeconds: options['conntrack-tcp-timeout-established'],
  tcpCloseWaitSeconds: options['conntrack-tcp-timeout-close-wait'],
})

/** What is wanted of this host's kernel settings now. Throws NetlinkError where the kernel can't be read. */
export function hostWishes({ network, self, peers, options, former }: HostOf): readonly Sysctl[] {
  using route = NetlinkSocket.open('route')
  using netfilter = openNetfilter()
  const facts = readHostFacts({ route, netfilter, namespace: undefined }, self.link)
  const devices = network.backend
    .devices(self)
    .flatMap((object) =>
      object.kind === 'link' ? [{ name: object.name, family: familyOf(object.vxlan.local) }] : [],
    )
  const families = FAMILIES.filter((family) => network.config[family] !== undefined)
  const conntrack = conntrackOf(options)
  const sysctls = options['sysctls'] !== 'off'
  return hostSettings({ families, devices, peers, conntrack, sysctls }, facts, former.flatMap(advertisedTo))
}

/** Links whose accept_ra was raised. */
const advertisedTo = ({ name }: FormerSetting): string[] => {
  const link = /^net\/ipv6\/conf\/(.+)\/accept_ra$/.exec(name)?.[1]
  return link === undefined ? [] : [link]
}

/** Undefined where the kernel has none. */
function openNetfilter(): NetlinkSocket | undefined {
  try {
    return NetlinkSocket.open('netfilter')
  } catch (error) {
    if (isSysError(error, 'EPROTONOSUPPORT')) return undefined
    throw error
  }
}

/** The kernel's refusals, those that node:fs tells among them. */
const isKernelTrouble = (error: unknown): error is Error => error instanceof Error && 'code' in error

interface KeeperParts {
  readonly options: Options
  readonly network: Network
  readonly reconciler: Pick<Reconciler, 'want'>
  readonly report: Report
  readonly former: FormerSettings
  readonly self: () => Self
  readonly peers: () => number
}

export class HostKeeper {
  readonly #parts: KeeperParts
  readonly #watch = new ConntrackWatch()
  #wished = ''

  constructor(parts: KeeperParts) {
    this.#parts = parts
    parts.report.conntrack = { read: () => this.#conntrack(), troubles: () => this.#watch.troubles }
    this.look()
  }

  /** Wishes anew, where something that decides them may have changed. */
  look(): void {
    const { options, network, reconciler, former, self, peers } = this.#parts
    try {
      const wishes = hostWishes({
        network,
        self: self(),
        peers: peers(),
        options,
        former: former.all(),
      })
      const text = JSON.stringify(wishes)
      if (text === this.#wished) return
      this.#wished = text
      reconciler.want(HOST_SOURCE, wishes)
    } catch (error) {
      if (!isKernelTrouble(error)) throw error
      logger.warning(
        `this host's kernel settings can't be decided: ${error.message}; they stay as they are`,
        { key: 'settings' },
      )
    }
  }

  /** Never returns: rejects with the signal's reason. */
  async follow(signal: AbortSignal): Promise<never> {
    for (let pauseMs = FIRST_MS; ; pauseMs = EVERY_MS * (1 + JITTER * (Math.random() - 0.5))) {
      await delay(pauseMs, undefined, { signal })
      this.look()
      this.#lookAtConntrack()
    }
  }

  #lookAtConntrack(): void {
    const reading = this.#conntrack()
    if (reading === undefined) return
    for (const { level, text, about } of this.#watch.take(reading, performance.now()))
      logger[level](text, { about: `conntrack ${about}` })
  }

  #conntrack(): ConntrackReading | undefined {
    try {
      return readConntrack()
    } catch (error) {
      if (!isKernelTrouble(error)) throw error
      logger.warning(`connection tracking can't be looked at: ${error.message}`, { key: 'conntrack' })
      return undefined
    }
  }
}
