// What a bridge keeps about each of its ports: IFLA_LINKINFO with INFO_SLAVE_* and IFLA_BRPORT_* (linux/if_link.h).
import { type Message, Writer } from './wire.ts'
import { RTM_LINK, type LinkRef } from './link.ts'

const IFLA_IFNAME = 3
const IFLA_LINKINFO = 18
const INFO_SLAVE = { kind: 4, data: 5 } as const
/** IFLA_BRPORT_MODE: whether frames may leave by the port they came in. */
const IFLA_BRPORT_MODE = 4

interface BridgePortSettings {
  /** A pod reaches itself through a service address. */
  readonly hairpin: boolean
}

/** Changes a port. EINVAL if the link is in no bridge. */
export const changeBridgePort = (link: LinkRef, { hairpin }: BridgePortSettings): Message =>
  Writer.message(RTM_LINK.put, 0, `change bridge port ${link}`, (w) => {
    w.u32(0)
      .u32(typeof link === 'number' ? link : 0)
      .u32(0)
      .u32(0)
    if (typeof link === 'string') w.attrText(IFLA_IFNAME, link)
    w.attribute(IFLA_LINKINFO, () =>
      w
        .attrText(INFO_SLAVE.kind, 'bridge')
        .nest(INFO_SLAVE.data, () => w.attrU8(IFLA_BRPORT_MODE, hairpin ? 1 : 0)),
    )
  })
