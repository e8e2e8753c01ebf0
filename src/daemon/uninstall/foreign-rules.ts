// Rules of upstream's flanneld in iptables: named, never touched here. Its nf_tables tables have our names and go.
import { FAMILIES } from '../../model/ip.ts'
import { readFileSync } from 'node:fs'
import { listChains, parseChain } from '../../netlink/nftables/table.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'

const CHAIN = /^FLANNEL-(?:POSTRTG|FWD)$/
const TOOL = { ipv4: 'iptables', ipv6: 'ip6tables' } as const

/** Chains of upstream's that iptables (the nf_tables kind) shows, and a hint where the old kind has tables. */
export function upstreamChains(): string[] {
  using netfilter = NetlinkSocket.open('netfilter')
  const chains = FAMILIES.flatMap((family) =>
    netfilter
      .dump(listChains(family), (reply) => parseChain(reply.body))
      .filter(({ name }) => CHAIN.test(name))
      .map(
        ({ table, name }) =>
          `chain ${name} of ${TOOL[family]}' table ${table}, made by upstream's flanneld (${TOOL[family]} -t ${table} -S | grep FLANNEL)`,
      ),
  )
  return [...chains, ...FAMILIES.flatMap(legacyHint)]
}

/** The tables that iptables-legacy has; their chains can't be listed without it. */
function legacyHint(family: keyof typeof TOOL): string[] {
  const path = `/proc/net/${family === 'ipv4' ? 'ip' : 'ip6'}_tables_names`
  try {
    const tables = readFileSync(path, 'utf8')
      .split('\n')
      .filter((name) => name === 'nat' || name === 'filter')
    return tables.length === 0
      ? []
      : [
          `rules of ${TOOL[family]}-legacy, if upstream's flanneld ran with it (${TOOL[family]}-legacy-save | grep FLANNEL)`,
        ]
  } catch (error) {
    if (['ENOENT', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw error
  }
}
