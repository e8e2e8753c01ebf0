// Tells when anything in nf_tables has changed: one small message a transaction, however many rules it had. The
// kernel drops the other notifications (a kube-proxy that writes ten thousand rules) before they reach us.
import type { Namespace } from '../../sys/namespace.ts'
import type { FilterRule } from '../filter.ts'
import { GROUP, Monitor } from '../monitor.ts'
import { NFT_MSG } from './header.ts'

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
