// What the kernel's routing says about other hosts: on our segment, or behind a gateway. Answers are remembered, and
// asked for again when a route or link changes that they may have depended on.
import { setTimeout } from 'node:timers/promises'
import { familyOf, type Family, type Ip } from '../model/ip.ts'
import { ROUTE_PROTOCOL } from '../model/kernel.ts'
import { containsIp } from '../model/prefix.ts'
import { isRefused, NetlinkError } from '../netlink/error.ts'
import { routesOf } from '../netlink/filter.ts'
import { getLink, parseLink, RTM_LINK } from '../netlink/link.ts'
import { GROUP, Monitor } from '../netlink/monitor.ts'
import { directLinkIndex, parseRoute } from '../netlink/route-info.ts'
import { getRoute } from '../netlink/route.ts'
import { NetlinkSocket } from '../netlink/socket.ts'
import type { Namespace } from '../sys/namespace.ts'

/** Changes come in bursts: one look for all of them. */
const GATHER_MS = 50
const AF_UNSPEC = 0
const NO_WAY = ['ENETUNREACH', 'EHOSTUNREACH', 'EINVAL', 'EACCES', 'ENODEV'] as const

export class UnderlayWatch implements Disposable {
  readonly #families: readonly Family[]
  readonly #namespace: Namespace | undefined
  readonly #socket: NetlinkSocket
  /** Opened with the first question: a back end that never asks is never woken. */
  #monitor: Monitor | undefined
  readonly #asked = Promise.withResolvers<void>()
  /** Index of the link by which an address is reached without a gateway; 0 if it isn't. */
  readonly #answers = new Map<Ip, number>()
  /** Addresses asked for since changes were last told: whoever plans again asks for all that still count. */
  readonly #wanted = new Set<Ip>()
  /** Addresses that are asked for along with the next one. */
  #foreseen: readonly Ip[] = []
  /** Answers that may be wrong by now. */
  readonly #stale = new Map<Ip, number>()
  /** Those whose answer is the same link, but by another name. */
  readonly #moved = new Set<Ip>()
  /** Indices of links by name, undefined for those that were asked for and aren't there. */
  readonly #indexes = new Map<string, number | undefined>()

  private constructor(families: readonly Family[], namespace: Namespace | undefined) {
    this.#families = families
    this.#namespace = namespace
    this.#socket = NetlinkSocket.open('route', namespace)
  }

  static open(families: readonly Family[] = ['ipv4'], namespace?: Namespace): UnderlayWatch {
    return new UnderlayWatch(families, namespace)
  }

  /** Listens to links and to routes of our families, our own left out. */
  #listen(): Monitor {
    if (this.#monitor !== undefined) return this.#monitor
    const groups = this.#families.map((family) => (family === 'ipv4' ? GROUP.ipv4Route : GROUP.ipv6Route))
    this.#monitor = Monitor.open([GROUP.link, ...groups], {
      ...(this.#namespace === undefined ? {} : { namespace: this.#namespace }),
      filter: [{ ...routesOf([ROUTE_PROTOCOL]), drops: true }],
    })
    this.#asked.resolve()
    return this.#monitor
  }

  /** These will be asked for next, if any is: the kernel answers for all of them at once. */
  foresee(ips: readonly Ip[]): void {
    this.#foreseen = ips.filter((ip) => this.#families.includes(familyOf(ip)))
  }

  /** Whether packets to `ip` leave through `link` without a gateway. Asks the kernel at most once between changes. */
  isOnLink(ip: Ip, link: string): boolean {
    this.#listen()
    this.#wanted.add(ip)
    const index = this.#indexOf(link)
    if (!this.#answers.has(ip)) {
      this.#ask([ip, ...this.#foreseen.filter((other) => other !== ip && !this.#answers.has(other))])
      this.#foreseen = []
    }
    return index !== undefined && this.#answers.get(ip) === index
  }

  #ask(ips: readonly Ip[]): void {
    const answers = this.#socket.ask(
      ips.map((ip) => getRoute(ip)),
      ({ body }) => directLinkIndex(body),
    )
    for (const [index, answer] of answers.entries()) {
      const ip = ips[index]
      // No route, or one that says so (unreachable, blackhole, prohibit).
      if (answer instanceof NetlinkError && !isRefused(answer, ...NO_WAY)) throw answer
      if (ip !== undefined) this.#answers.set(ip, answer instanceof NetlinkError ? 0 : (answer ?? 0))
    }
  }

  #indexOf(link: string): number | undefined {
    if (!this.#indexes.has(link)) this.#indexes.set(link, this.#askIndex(link))
    return this.#indexes.get(link)
  }

  #askIndex(link: string | number | undefined): number | undefined {
    if (link === undefined) return undefined
    try {
      const [reply] = this.#socket.request(getLink(link))
      return reply && parseLink(reply.body).index
    } catch (error) {
      if (isRefused(error, 'ENODEV')) return undefined
      throw error
    }
  }

  /** Yields the addresses whose answers have changed: whoever planned with them plans again. */
  async *changes(signal: AbortSignal): AsyncGenerator<ReadonlySet<Ip>, void, undefined> {
    await Promise.race([this.#asked.promise, aborted(signal)])
    if (signal.aborted) return
    while (await this.#listen().ready(signal)) {
      if (!this.#hear()) continue
      try {
        await setTimeout(GATHER_MS, undefined, { signal })
      } catch (error) {
        if (signal.aborted) return
        throw error
      }
      this.#hear()
      const changed = this.#askAgain()
      if (changed.size === 0) continue
      this.#wanted.clear()
      yield changed
    }
  }

  /** Marks answers that what was heard may have made wrong; false if there are none. */
  #hear(): boolean {
    for (const event of this.#listen().take())
      if (event.kind === 'overrun') {
        for (const [name, before] of this.#indexes)
          this.#rename(name, this.#askIndex(name) ?? this.#askIndex(before))
        this.#doubt(() => true)
      } else if (event.type === RTM_LINK.put || event.type === RTM_LINK.remove) this.#hearLink(event)
      else {
        const route = parseRoute(event.body)
        if (route !== undefined && !route.cloned) this.#doubt((ip) => containsIp(route.to, ip))
      }
    return this.#stale.size > 0 || this.#moved.size > 0
  }

  #hearLink({ type, body }: { type: number; body: Uint8Array }): void {
    if (body[0] !== AF_UNSPEC) return
    const link = parseLink(body)
    const removed = type === RTM_LINK.remove
    // A name we asked for may now mean another link, or none. Renamed, a link is still meant until another has its name.
    for (const [name, index] of this.#indexes)
      if (removed && index === link.index) this.#rename(name, undefined)
    if (!removed && this.#indexes.has(link.name)) this.#rename(link.name, link.index)
    // Down, its routes went without a word; up, they are announced.
    if (removed || !link.up) this.#doubt((_ip, answer) => answer === link.index)
  }

  #rename(name: string, index: number | undefined): void {
    const before = this.#indexes.get(name)
    if (before === index) return
    this.#indexes.set(name, index)
    for (const [ip, answer] of this.#answers) if (answer === before || answer === index) this.#moved.add(ip)
  }

  #doubt(isDoubtful: (ip: Ip, answer: number) => boolean): void {
    for (const [ip, answer] of this.#answers)
      if (isDoubtful(ip, answer)) {
        this.#answers.delete(ip)
        if (!this.#stale.has(ip)) this.#stale.set(ip, answer)
      }
  }

  #askAgain(): Set<Ip> {
    for (const ip of this.#answers.keys()) if (!this.#wanted.has(ip)) this.#answers.delete(ip)
    const changed = this.#moved.intersection(this.#wanted)
    this.#moved.clear()
    const stale = [...this.#stale.keys()].filter((ip) => this.#wanted.has(ip))
    this.#ask(stale.filter((ip) => !this.#answers.has(ip)))
    for (const ip of stale) if (this.#answers.get(ip) !== this.#stale.get(ip)) changed.add(ip)
    this.#stale.clear()
    return changed
  }

  [Symbol.dispose](): void {
    this.#monitor?.[Symbol.dispose]()
    this.#socket[Symbol.dispose]()
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (signal.aborted) return
  signal.addEventListener('abort', () => resolve(), { once: true })
  await promise
}
