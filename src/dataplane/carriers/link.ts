// Carries VXLAN devices. They are changed in place where the kernel takes it, and made anew only for another VNI,
// port, group policy or family.
import type { Link } from '../../model/kernel.ts'
import { isMissing, isRefused, NetlinkError } from '../../netlink/error.ts'
import {
  changeLink,
  createLink,
  getLink,
  type LinkInfo,
  parseLink,
  removeLink,
  renameLink,
  RTM_LINK,
} from '../../netlink/link.ts'
import { isSysError } from '../../sys/libc.ts'
import { log } from '../../sys/log.ts'
import { type Change, done, failed, type Result } from '../carrier.ts'
import { isSameTunnel, linkKind } from '../kinds/link.ts'
import { noLink, RtnetlinkCarrier } from './rtnetlink-carrier.ts'
import type { Rtnetlink } from './rtnetlink.ts'
import { describe, elsewhere, linkOf, unusual, usual } from './vxlan-device.ts'

const logger = log.from('link.ts')

const AF_UNSPEC = 0

export class LinkCarrier extends RtnetlinkCarrier<Link> {
  /** Of the devices that we have put, whatever they are called now. */
  readonly #indexes = new Map<string, number>()
  /** Of the devices as the reconciler knows them. */
  #known = new Map<string, number>()

  constructor(session: Rtnetlink) {
    super(session, [RTM_LINK.put, RTM_LINK.remove])
    session.onLink((name) => {
      this.queue.push({ kind: 'link', link: name })
      // Whoever found out, one of our own reads of all links perhaps: the notification will be no news by then.
      const info = session.links.get(name)
      if (session.scope.links.has(name)) this.see(name, info !== undefined, info && this.#read(info))
    })
  }

  async dump(): Promise<readonly Link[]> {
    this.session.loadLinks()
    const links = this.session.ownLinks()
    this.#known = new Map(links.map(({ name, index }) => [name, index]))
    return links.map((info) => this.#read(info)).filter((found) => found !== undefined)
  }

  #read(info: LinkInfo): Link | undefined {
    const found = linkOf(info, (index) => this.session.nameOf(index))
    return found === undefined || this.#offloads(info) ? found : { ...found, checksumOffload: false }
  }

  /** Of devices that are ours; a change of it is announced as one of the link. */
  #offloads({ name }: LinkInfo): boolean {
    return !this.session.scope.links.has(name) || this.session.ethtool.txChecksum(name) !== false
  }

  async apply(changes: readonly Change<Link>[]): Promise<readonly Result[]> {
    return changes.map((change) => {
      const name = change.op === 'put' ? change.want.name : change.have.name
      const result = this.#try(change)
      // One that failed half-way may have cost what was on it.
      if (change.op === 'put' && result.kind === 'failed') this.queue.push({ kind: 'link', link: name })
      return result
    })
  }

  #try(change: Change<Link>): Result {
    try {
      return change.op === 'put' ? this.#put(change.want) : this.#remove(change.have)
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error
      const isElsewhere = change.op === 'put' && isRefused(error, 'EEXIST') && this.#isFree(change.want)
      return failed(isElsewhere ? elsewhere(change.want) : error.message)
    }
  }

  /** Whether nothing here has the name, or the tunnel. */
  #isFree(want: Link): boolean {
    this.session.loadLinks()
    return this.session.links.get(want.name) === undefined && this.#rival(want, undefined) === undefined
  }

  /** What our own change of a link made the kernel say is no news. What comes after this is others' doing. */
  #overhear(name: string): void {
    this.session.hear()
    for (const hint of this.queue.take())
      if (hint.kind === 'everything' || (hint.kind === 'seen' ? hint.key : hint.link) !== name)
        this.queue.push(hint)
  }

  #put(want: Link): Result {
    const { links } = this.session
    this.session.loadLinks()
    const underlay = this.session.indexOf(want.vxlan.underlay)
    if (underlay === undefined) return noLink(want.vxlan.underlay)
    const named = links.get(want.name)
    if (named !== undefined && named.type !== 'vxlan')
      return failed(
        `${want.name} is ${named.type === undefined ? 'another device' : `a ${named.type} device`}, not VXLAN, and not heddle's to remove: rename or delete it (ip link del ${want.name}), or use another VNI`,
      )
    const rival = this.#rival(want, named)
    const isRenamed = rival !== undefined && this.#isOurs(want, rival)
    if (rival !== undefined && !isRenamed) {
      const { vni, port } = want.vxlan
      return failed(
        `VNI ${vni}, port ${port} is in use by ${rival.name}, which is not heddle's: remove it, or use another VNI or Port`,
      )
    }
    const existing = isRenamed ? this.#restore(rival, want, named) : named
    const have = existing === undefined ? undefined : this.#read(existing)
    if (existing === undefined) this.#create(want, underlay)
    else if (have === undefined || have.unrecognised !== undefined || !isSameTunnel(want, have))
      this.#replace(existing, want, underlay)
    else this.#change(existing, want, have, underlay)
    this.#setOffload(want)
    return this.#verify(want)
  }

  /** Another device with our tunnel: the kernel would refuse a second one. */
  #rival(want: Link, named: LinkInfo | undefined): LinkInfo | undefined {
    return [...this.session.links.values()].find((info) => {
      const found = info === named ? undefined : this.#read(info)
      return found !== undefined && isSameTunnel(want, found)
    })
  }

  /** Whether a device of another name is ours, renamed: no more than its tunnel could be anybody's. */
  #isOurs(want: Link, info: LinkInfo): boolean {
    const found = this.#read(info)
    if (found === undefined || found.unrecognised !== undefined || found.altered !== undefined) return false
    return found.mac === want.mac || this.#indexes.get(want.name) === info.index
  }

  /** Our device gets its name back; a tunnel that has it by now goes, as it would if ours were gone. */
  #restore(ours: LinkInfo, want: Link, other: LinkInfo | undefined): LinkInfo | undefined {
    if (other !== undefined) {
      const was = this.#read(other)
      logger.warning(
        `${want.name} is deleted, for heddle's own device is called ${ours.name} now and gets its name back; it was ${was === undefined ? 'something else' : describe(was)}`,
      )
      this.session.socket.request(removeLink(other.index))
    }
    return this.#rename(ours, want.name)
  }

  #rename({ index }: LinkInfo, name: string): LinkInfo | undefined {
    const { socket, links } = this.session
    try {
      socket.request(renameLink(index, name))
    } catch (error) {
      // Before Linux 6.2 a link that is up keeps its name.
      if (!isRefused(error, 'EBUSY')) throw error
      socket.request(changeLink(index, { up: false }))
      socket.request(renameLink(index, name))
    }
    this.session.loadLinks()
    return links.get(name)
  }

  /** What others had put on the device goes with it. */
  #replace(existing: LinkInfo, want: Link, underlay: number): void {
    const have = this.#read(existing)
    logger.warning(
      `${want.name} is deleted and made anew, for the kernel can't change it in place: wanted ${describe(want)}; was ${have === undefined ? 'something else' : describe(have)}`,
    )
    this.session.socket.request(removeLink(existing.index))
    this.#create(want, underlay)
  }

  #create(want: Link, underlay: number): void {
    const { vni, port, local, learning, gbp } = want.vxlan
    this.session.socket.request(
      createLink({
        name: want.name,
        mac: want.mac,
        mtuBytes: want.mtuBytes,
        up: true,
        kind: { type: 'vxlan', vni, port, local, learning, gbp, link: underlay },
      }),
    )
  }

  #setOffload(want: Link): void {
    if (want.checksumOffload === undefined) return
    try {
      this.session.ethtool.setTxChecksum(want.name, want.checksumOffload)
    } catch (error) {
      // Gone, or a kernel without it: what is there now is looked at next.
      if (!isSysError(error, 'ENODEV', 'EOPNOTSUPP')) throw error
    }
  }

  #change(existing: LinkInfo, want: Link, have: Link, underlay: number): void {
    const { socket } = this.session
    const { index } = existing
    const { local, learning } = want.vxlan
    const tunnel = {
      ...(existing.vxlan === undefined || unusual(existing.vxlan).length === 0 ? {} : usual(local)),
      ...(local === have.vxlan.local ? {} : { local }),
      ...(learning === have.vxlan.learning ? {} : { learning }),
      ...(underlay === existing.vxlan?.link ? {} : { link: underlay }),
    }
    try {
      if (Object.keys(tunnel).length > 0) socket.request(changeLink(index, { vxlan: tunnel }))
    } catch (error) {
      // Older kernels take some of these only when a device is made.
      if (!isRefused(error, 'EOPNOTSUPP')) throw error
      this.#replace(existing, want, underlay)
      return
    }
    const settings = {
      ...(want.mac === have.mac ? {} : { mac: want.mac }),
      ...(want.mtuBytes === have.mtuBytes ? {} : { mtuBytes: want.mtuBytes }),
      ...(have.up ? {} : { up: true }),
      ...(existing.master === undefined ? {} : { master: 0 }),
    }
    if (Object.keys(settings).length > 0) socket.request(changeLink(index, settings))
  }

  /** The kernel clips an MTU silently, and udev may rewrite a MAC: what was asked for is looked at. */
  #verify(want: Link): Result {
    this.#overhear(want.name)
    const [reply] = this.session.socket.request(getLink(want.name))
    if (reply === undefined) return failed(`the kernel says nothing about ${want.name}`)
    const info = parseLink(reply.body)
    this.session.noteLink(info.index, info)
    this.#indexes.set(want.name, info.index)
    const before = this.#known.get(want.name)
    this.#known.set(want.name, info.index)
    // Gone and made anew, by whomever, in the middle of this: what was on it is gone too, and nobody will say so.
    if (before !== undefined && before !== info.index) this.queue.push({ kind: 'link', link: want.name })
    const have = this.#read(info)
    if (have !== undefined && linkKind.same(want, have)) return done
    return failed(
      `${want.name} was set up but is not as asked for: wanted ${describe(want)}; the kernel has ${have === undefined ? `a ${info.type} device` : describe(have)}`,
    )
  }

  #remove(have: Link): Result {
    this.session.loadLinks()
    const info = this.session.links.get(have.name)
    if (info?.type !== 'vxlan') return done
    try {
      this.session.socket.request(removeLink(info.index))
    } catch (error) {
      if (!isMissing(error)) throw error
    }
    this.session.noteLink(info.index, undefined)
    this.#known.delete(have.name)
    this.#overhear(have.name)
    if (this.session.links.get(have.name) !== undefined)
      this.queue.push({ kind: 'everything', reason: `${have.name} was made anew by somebody` })
    return done
  }

  hear(type: number, body: Uint8Array): void {
    // Bridges announce their ports as links of their own family.
    if (body[0] !== AF_UNSPEC) return
    const info = parseLink(body)
    const put = type === RTM_LINK.put
    this.session.noteLink(info.index, put ? info : undefined)
    if (this.session.scope.links.has(info.name)) this.see(info.name, put, this.#read(info))
  }
}
