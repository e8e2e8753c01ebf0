// Tells when anything in nf_tables has changed: one small message a transaction, however many rules it had. The
// kernel drops the other notifications (a kube-proxy that writes ten thousand rules) before they reach us. And which
// generation it is now, for who can't rely on having heard of each.
import type { Namespace } from '../../sys/namespace.ts'
import { Attributes } from '../attributes.ts'
import { malformed } from '../error.ts'
import type { FilterRule } from '../filter.ts'
import { GROUP, Monitor } from '../monitor.ts'
import type { NetlinkSocket } from '../socket.ts'
import { Writer } from '../wire.ts'
import { NFGEN_BYTES, NFT_MSG } from './header.ts'

/** NFT_MSG_MAX as of Linux 6.18 is 36; those yet to come are dropped as well up to here. */
const NFT_MSG_LAST = 100

const onlyGenerations: FilterRule = {
  types: Array.from({ length: NFT_MSG_LAST }, (_, i) => NFT_MSG.newTable + i).filter(
    (type) => type !== NFT_MSG.newGeneration,
  ),
  offset: 0,
  bytes: 1,
  values: [],
}

/** An event for each committed transaction of anybody's, from now on; it doesn't say what changed. */
export const openGenerations = (namespace?: Namespace): Monitor =>
  Monitor.open([GROUP.nftables], {
    protocol: 'netfilter',
    filter: [onlyGenerations],
    receiveBufferBytes: 64 << 10,
    ...(namespace === undefined ? {} : { namespace }),
  })

const NFTA_GEN_ID = 1
const request = Writer.message(NFT_MSG.getGeneration, 0, 'get the generation of nf_tables', (w) =>
  w.zero(NFGEN_BYTES),
)

/** Another number after each committed transaction of anybody's in this namespace, and only then. */
export function generation(socket: NetlinkSocket): number {
  const [reply] = socket.request(request)
  if (reply === undefined) throw malformed('no generation of nf_tables')
  const attributes = new Attributes(reply.body, NFGEN_BYTES, 'the generation of nf_tables')
  while (attributes.next()) if (attributes.type === NFTA_GEN_ID) return attributes.be32()
  throw malformed('the generation of nf_tables without its number')
}
