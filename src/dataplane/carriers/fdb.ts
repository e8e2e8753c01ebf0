// Carries permanent FDB entries of our own VXLAN devices. Learned entries are not reported: putting ours replaces them.
import { fdbEntry, type FdbEntry } from '../../model/kernel.ts'
import { AF } from '../../netlink/family.ts'
import {
  fdbAnnouncement,
  type FdbMessage,
  isAnnounced,
  listFdb,
  NEIGHBOUR_VOLATILE,
  NUD,
  parseNeighbour,
  putFdb,
  removeFdb,
  RTM_NEIGHBOUR,
} from '../../netlink/neighbour.ts'
import type { Message, Reply } from '../../netlink/wire.ts'
import type { Change, Result } from '../carrier.ts'
import type { Witness } from '../witness.ts'
import { fdbKey } from '../kinds/fdb.ts'
import { OnLinkCarrier } from './rtnetlink-carrier.ts'
import type { Rtnetlink } from './rtnetlink.ts'

export class FdbCarrier extends OnLinkCarrier<FdbEntry> {
  /** Requests of the batch that is under way. */
  #sent: Uint8Array[] = []
  /** How the kernel announces those of the batch that has just gone in, and how many of them have been heard. */
  #announced: readonly Uint8Array[] = []
  #heard = 0

  constructor(session: Rtnetlink) {
    super(session, [RTM_NEIGHBOUR.put, RTM_NEIGHBOUR.remove])
  }

  async dump(_signal: AbortSignal, witness?: Witness): Promise<readonly FdbEntry[]> {
    return this.session.ownLinks(witness).flatMap(({ index, name }) => {
      const parse = ({ body }: Reply) => {
        const found = parseNeighbour(body)
        return found?.kind === 'fdb' && found.linkIndex === index ? permanent(found, name) : undefined
      }
      return this.session.dump(listFdb({ linkIndex: index }), parse, witness, NEIGHBOUR_VOLATILE)
    })
  }

  /**
   * Announcements of FDB entries don't say whose request it was. One that shows exactly what we have just put shows what
   * we believe from now on: it is no news, whoever caused it, and needs no reading. All others are heard as ever.
   */
  override async apply(changes: readonly Change<FdbEntry>[]): Promise<readonly Result[]> {
    this.#sent = []
    const results = await super.apply(changes)
    this.#announced = results.every(({ kind }) => kind === 'done') ? this.#sent.map(fdbAnnouncement) : []
    this.#heard = 0
    try {
      this.session.hear()
    } finally {
      this.#sent = []
      this.#announced = []
    }
    return results
  }

  /** In the order of the batch, as the kernel announces it; who is not in turn is read. */
  #isOwn(body: Uint8Array): boolean {
    const next = this.#announced[this.#heard]
    if (next === undefined || !isAnnounced(body, next)) return false
    this.#heard++
    return true
  }

  protected put({ mac, dst }: FdbEntry, linkIndex: number): Message {
    const message = putFdb({ linkIndex, mac, dst })
    this.#sent.push(message.body)
    return message
  }
  protected remove({ mac, dst, unrecognised }: FdbEntry, linkIndex: number): Message {
    // With `dst` the kernel looks for one to the device's own port and VNI.
    return removeFdb({ linkIndex, mac, dst: unrecognised === undefined ? dst : undefined })
  }

  hear(type: number, body: Uint8Array): void {
    if (body[0] !== AF.bridge) return
    if (type === RTM_NEIGHBOUR.put && this.#isOwn(body)) return
    const found = parseNeighbour(body)
    if (found?.kind !== 'fdb') return
    const link = this.session.ownName(found.linkIndex)
    if (link === undefined) return
    const object = permanent(found, link)
    this.see(fdbKey({ link, mac: found.mac }), type === RTM_NEIGHBOUR.put, object)
  }
}

/** Entries without a remote VTEP are none of VXLAN's. */
const permanent = (found: FdbMessage, link: string): FdbEntry | undefined => {
  const { mac, dst, state = 0, port, vni, through } = found
  if (dst === undefined || (state & NUD.permanent) === 0) return undefined
  if (port === undefined && vni === undefined && through === undefined) return fdbEntry({ link, mac, dst })
  const odd = Object.entries({ port, VNI: vni, interface: through }).filter(
    ([, value]) => value !== undefined,
  )
  return fdbEntry({ link, mac, dst, unrecognised: odd.map((pair) => pair.join(' ')).join(', ') })
}
