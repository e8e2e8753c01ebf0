// Carries permanent neighbours of our own links. Entries the kernel resolved by itself are not reported: putting ours
// replaces them.
import { neighbour, type Neighbour } from '../../model/kernel.ts'
import { AF } from '../../netlink/family.ts'
import {
  listNeighbours,
  NEIGHBOUR_VOLATILE,
  NTF,
  NUD,
  parseNeighbour,
  putNeighbour,
  removeNeighbour,
  RTM_NEIGHBOUR,
} from '../../netlink/neighbour.ts'
import type { Message, Reply } from '../../netlink/wire.ts'
import type { Witness } from '../witness.ts'
import { neighbourKey } from '../kinds/neighbour.ts'
import { OnLinkCarrier } from './rtnetlink-carrier.ts'
import type { Rtnetlink } from './rtnetlink.ts'

export class NeighbourCarrier extends OnLinkCarrier<Neighbour> {
  constructor(session: Rtnetlink) {
    super(session, [RTM_NEIGHBOUR.put, RTM_NEIGHBOUR.remove])
  }

  async dump(_signal: AbortSignal, witness?: Witness): Promise<readonly Neighbour[]> {
    return this.session.ownLinks(witness).flatMap(({ index, name }) => {
      const parse = ({ body }: Reply) => {
        const found = parseNeighbour(body)
        return found?.kind === 'neighbour' && found.linkIndex === index ? permanent(found, name) : undefined
      }
      return this.session.families.flatMap((family) =>
        this.session.dump(listNeighbours({ family, linkIndex: index }), parse, witness, NEIGHBOUR_VOLATILE),
      )
    })
  }

  protected put({ ip, mac }: Neighbour, linkIndex: number): Message {
    return putNeighbour({ linkIndex, ip, mac })
  }
  protected remove({ ip }: Neighbour, linkIndex: number): Message {
    return removeNeighbour({ linkIndex, ip })
  }

  hear(type: number, body: Uint8Array): void {
    if (body[0] === AF.bridge) return
    const found = parseNeighbour(body)
    if (found?.kind !== 'neighbour') return
    const link = this.session.ownName(found.linkIndex)
    if (link === undefined) return
    const object = permanent(found, link)
    // Deleting an entry is announced twice: first as failed, without its MAC.
    this.see(neighbourKey({ link, ip: found.ip }), type === RTM_NEIGHBOUR.put, object)
  }
}

function permanent(
  found: Extract<ReturnType<typeof parseNeighbour>, { kind: 'neighbour' }>,
  link: string,
): Neighbour | undefined {
  return found.mac === undefined || (found.state & NUD.permanent) === 0 || (found.flags & NTF.proxy) !== 0
    ? undefined
    : neighbour({ link, ip: found.ip, mac: found.mac })
}
