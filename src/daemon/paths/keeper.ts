// Keeps the MTU of each path as it is found out: on the peer's route at once, and, where some path stays small, on this
// host's own devices and in subnet.env for pods to come.
import { clampTables } from '../../firewall/mss.ts'
import type { KernelObject, NftTable } from '../../model/kernel.ts'
import type { Family } from '../../model/ip.ts'
import type { SubnetKey } from '../../model/lease.ts'
import type { Prefix } from '../../model/prefix.ts'
import { VXLAN_OVERHEAD_BYTES } from '../../model/vxlan.ts'
import { PathMtuError } from '../../path-mtu/error.ts'
import { DeviceLimit, PATIENCE, type Patience } from '../../path-mtu/limit.ts'
import { PathMtu, type PathChange } from '../../path-mtu/path-mtu.ts'
import { tunnelsOf } from '../../path-mtu/target.ts'
import { log } from '../../sys/log.ts'
import type { Namespace } from '../../sys/namespace.ts'
import type { Paths } from './paths.ts'

const logger = log.from('paths.ts')
/** What IPv6 needs (RFC 8200 §5), and less than which no device gets for another path's sake. */
const LEAST_DEVICE_BYTES = 1280
/** Paths that are named one by one in a minute. */
const MOST_TOLD = 10
const MINUTE_MS = 60_000

export interface PathKeeperParts {
  /** What the interface between hosts carries. */
  readonly interfaceBytes: () => number
  /** Whether the back end in force wants paths asked about. */
  readonly asks: () => boolean
  /** The families that this host uses. */
  readonly families: () => readonly Family[]
  /** What is known from another run. */
  readonly known: ReadonlyMap<Prefix, number>
  /** The device MTU limit that another run left behind, of outer packets. */
  readonly limitBytes: number | undefined
  readonly namespace?: Namespace
  readonly patience?: Patience
}

export class PathKeeper implements Paths, Disposable {
  readonly #parts: PathKeeperParts
  readonly #paths: PathMtu
  #limit: DeviceLimit
  #timer: NodeJS.Timeout | undefined
  #isForbidden = false
  #told: number[] = []
  /** Told of peers whose routes are to be planned anew. */
  onRoutes: (keys: readonly SubnetKey[]) => void = () => undefined
  /** Told of another limit for this host's own devices. */
  onLimit: () => void = () => undefined
  /** Told of the end of each look at a path. */
  onLooked: () => void = () => undefined

  constructor(parts: PathKeeperParts) {
    this.#parts = parts
    const { known, namespace, patience, limitBytes } = parts
    this.#limit = new DeviceLimit(patience ?? PATIENCE, limitBytes)
    this.#paths = new PathMtu({
      known,
      onChange: (changes) => this.#changed(changes),
      onLooked: () => this.onLooked(),
      ...(namespace === undefined ? {} : { namespace }),
    })
  }

  tunnelMtuBytes(subnet: Prefix): number | undefined {
    return this.#paths.mtuBytes(subnet)
  }

  tables(): readonly NftTable[] {
    return clampTables(this.#paths.smallTunnels())
  }

  own(objects: readonly KernelObject[]): void {
    const tunnels = this.#parts.asks() && !this.#isForbidden ? tunnelsOf(objects) : []
    this.#unlessForbidden(() => this.#paths.begin(tunnels, this.#parts.interfaceBytes()))
    if (!this.#parts.asks()) this.#unlimit()
    this.#weigh()
  }

  /** A configured MTU is obeyed at once. */
  #unlimit(): void {
    if (this.limitBytes === undefined) return
    this.#limit = new DeviceLimit(this.#parts.patience ?? PATIENCE)
    // Whoever plans now hasn't finished.
    queueMicrotask(() => this.onLimit())
  }

  peer(key: SubnetKey, objects: readonly KernelObject[]): void {
    this.#paths.want(key, objects)
    // It may have been the smallest.
    if (objects.length === 0 && (this.#timer !== undefined || this.limitBytes !== undefined)) {
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.#weigh(), 0)
    }
  }

  /** What this host's own devices may have for the sake of small paths, of outer packets; undefined: all there is. */
  get limitBytes(): number | undefined {
    return this.#limit.bytes
  }

  /** Something has been programmed: devices that have come up are listened to. Never throws. */
  roundEnded(): void {
    this.#unlessForbidden(() => this.#paths.stirred())
  }

  /** For /status. */
  tell(): unknown {
    const small = this.#paths.small().map(({ subnet, remote, mtuBytes }) => ({ subnet, remote, mtuBytes }))
    return { asked: this.#paths.isAsking, deviceLimitBytes: this.limitBytes, small }
  }

  get smallCount(): number {
    return this.#paths.small().length
  }

  #unlessForbidden(act: () => void): void {
    try {
      act()
    } catch (error) {
      if (!(error instanceof PathMtuError)) {
        // Tried again after the next round.
        logger.error(`a tunnel's device can't be listened to: ${String(error)}`, { about: 'path MTU' })
        return
      }
      this.#isForbidden = true
      logger.warning(error.message, { about: 'path MTU' })
      this.#paths.begin([], this.#parts.interfaceBytes())
    }
  }

  #changed(changes: readonly PathChange[]): void {
    for (const change of changes) this.#log(change)
    this.onRoutes(changes.map(({ source }) => source as SubnetKey))
    this.#weigh()
  }

  #weigh(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const nowMs = performance.now()
    if (this.#limit.look(this.#leastBytes(), nowMs)) {
      const { bytes } = this.#limit
      logger.warning(
        bytes === undefined
          ? 'all paths take what the interface does: devices and subnet.env have their full MTU again'
          : `some path takes no more than ${bytes} bytes, and has for a while: devices and subnet.env follow it, for pods to come`,
        { about: 'device MTU' },
      )
      this.onLimit()
    }
    const waitMs = this.#limit.waitMs(nowMs)
    if (waitMs < Infinity) this.#timer = setTimeout(() => this.#weigh(), waitMs + 1)
  }

  #leastBytes(): number | undefined {
    const least = this.#paths.leastBytes()
    const overheads = this.#parts.families().map((family) => VXLAN_OVERHEAD_BYTES[family])
    return least === undefined ? undefined : Math.max(least, LEAST_DEVICE_BYTES + Math.max(...overheads))
  }

  #log({ subnet, remote, mtuBytes }: PathChange): void {
    const nowMs = performance.now()
    this.#told = this.#told.filter((atMs) => atMs > nowMs - MINUTE_MS)
    if (this.#told.length > MOST_TOLD) return
    this.#told.push(nowMs)
    const key = `path ${subnet} ${mtuBytes}`
    if (this.#told.length > MOST_TOLD)
      logger.warning('more paths carry something else than before; /status names those that are small', {
        key,
      })
    else if (mtuBytes === undefined)
      logger.info(`the path to ${remote} takes full packets: ${subnet} has no MTU of its own`, { key })
    else
      logger.warning(
        `the path to ${remote} takes packets of ${mtuBytes} bytes within the tunnel and no more: the route to ${subnet} has that MTU`,
        { key },
      )
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#paths[Symbol.dispose]()
  }
}
