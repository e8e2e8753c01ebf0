// Carries permanent FDB entries of our own VXLAN devices. Learned entries are not reported: putting ours replaces them.
import { fdbEntry, type FdbEntry } from '../../model/kernel.ts'
import { AF } from '../../netlink/family.ts'
import {
  type FdbMessage,
  listFdb,
  NEIGHBOUR_VOLATILE,
  NUD,
  parseNeighbour,
  putFdb,
  removeFdb,
  RTM_NEIGHBOUR,
} from '../../netlink/neighbour.ts'
import type { Message, Reply } from '../../netlink/wire.ts'
import type { Witness } from '../witness.ts'
import { fdbKey } from '../kinds/fdb.ts'
import { OnLinkCarrier } from './rtnetlink-carrier.ts'
import type { Rtnetlink } from './rtnetlink.ts'

export class FdbCarrier extends OnLinkCarrier<FdbEntry> {
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

  protected put({ mac, dst }: FdbEntry, linkIndex: number): Message {
    return putFdb({ linkIndex, mac, dst })
  }
  protected remove({ mac, dst }: FdbEntry, linkIndex: number): Message {
    return removeFdb({ linkIndex, mac, dst })
  }

  hear(type: number, body: Uint8Array): void {
    if (body[0] !== AF.bridge) return
    const found = parseNeighbour(body)
    if (found?.kind !== 'fdb') return
    const link = this.session.ownName(found.linkIndex)
    if (link === undefined) return
    const object = permanent(found, link)
    this.see(fdbKey({ link, mac: found.mac }), type === RTM_NEIGHBOUR.put, object)
  }
}

/** Entries without a remote VTEP are none of VXLAN's. */
const permanent = (found: FdbMessage, link: string): FdbEntry | undefined =>
  found.dst === undefined || ((found.state ?? 0) & NUD.permanent) === 0
    ? undefined
    : fdbEntry({ link, mac: found.mac, dst: found.dst })
