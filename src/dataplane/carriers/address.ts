// Carries addresses of our own links. Address changes of other links that we use are told as hints about the link:
// with its last address the kernel drops the link's routes.
import { familyOf } from '../../model/ip.ts'
import { address, type Address } from '../../model/kernel.ts'
import {
  ADDRESS_VOLATILE,
  IFA_F,
  listAddresses,
  parseAddress,
  putAddress,
  removeAddress,
  RTM_ADDRESS,
} from '../../netlink/address.ts'
import { isMissing } from '../../netlink/error.ts'
import type { Message } from '../../netlink/wire.ts'
import type { Witness } from '../witness.ts'
import { addressKind } from '../kinds/address.ts'
import { OnLinkCarrier } from './rtnetlink-carrier.ts'
import type { Rtnetlink } from './rtnetlink.ts'

export class AddressCarrier extends OnLinkCarrier<Address> {
  constructor(session: Rtnetlink) {
    super(session, [RTM_ADDRESS.put, RTM_ADDRESS.remove])
  }

  async dump(_signal: AbortSignal, witness?: Witness): Promise<readonly Address[]> {
    return this.session.ownLinks(witness).flatMap(({ index }) => {
      const message = listAddresses({ linkIndex: index })
      try {
        return this.session.dump(message, ({ body }) => this.#read(body), witness, ADDRESS_VOLATILE)
      } catch (error) {
        // The link went since we last heard: so did its addresses.
        witness?.add(() => false)
        if (isMissing(error)) return []
        throw error
      }
    })
  }

  #read(body: Uint8Array): Address | undefined {
    const found = parseAddress(body)
    const link = found && this.session.ownName(found.linkIndex)
    return found === undefined || link === undefined
      ? undefined
      : address({ link, ip: found.ip, length: found.length })
  }

  protected put({ ip, length }: Address, linkIndex: number): Message {
    // No duplicate address detection: the address must serve at once.
    const flags = familyOf(ip) === 'ipv6' ? { flags: IFA_F.noDad } : {}
    return putAddress({ linkIndex, ip, length, ...flags })
  }
  protected remove({ ip, length }: Address, linkIndex: number): Message {
    return removeAddress({ linkIndex, ip, length })
  }

  hear(type: number, body: Uint8Array): void {
    const own = this.#read(body)
    if (own === undefined) {
      const link = this.session.nameOf(parseAddress(body)?.linkIndex)
      if (link !== undefined) this.session.linkChanged(link)
    } else this.see(addressKind.key(own), type === RTM_ADDRESS.put, own)
  }
}
