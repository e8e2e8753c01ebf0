// What a host's kernel tables hold, as text to compare: flannel's part, and everybody else's.
import type { TestHost } from './kernel.ts'

/** Numbers that the kernel or the carrier gives anew each time: ifindex, nexthop ids, rule handles; and what an address is for a moment. */
const PASSING = [/^\d+: /gm, / nhid \d+/g, /\bid \d+ (?=via)/g, / # handle \d+/g, /@\S+/g, / tentative/g]

function settle(text: string): string {
  const lines = PASSING.reduce((rest, pattern) => rest.replace(pattern, ''), text).split('\n')
  return lines
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .sort()
    .join('\n')
}

/** What heddle keeps on `device` and in nf_tables, without the numbers that change when it is made again. */
export async function flannelPart(host: TestHost, device = 'flannel.1'): Promise<string> {
  return settle(
    await host.sh(`
      if ip link show ${device} >/dev/null 2>&1; then
        ip -d -o link show dev ${device} | sed 's/qdisc.*link/link/; s/promiscuity.*maxmtu [0-9]*//; s/gso_max.*//'
        ip -4 -o addr show dev ${device}
        ip neigh show dev ${device} nud permanent | sed 's/^/neigh /'
        bridge fdb show dev ${device} | sed 's/^/fdb /'
      fi
      ip route show proto 0x68 | sed 's/^/route /'
      ip nexthop show proto 0x68 | sed 's/^/nexthop /'
      nft list ruleset
    `),
  )
}

/** Everything but what heddle keeps on `device`: nothing that heddle does may change it. */
export async function foreignPart(host: TestHost, device = 'flannel.1'): Promise<string> {
  return settle(
    await host.sh(`
      ip -o link show | grep -v ' ${device}:'
      ip -o addr show | grep -v ' ${device} '
      ip route show table all | grep -v 'proto 0x68\\|dev ${device}' | sed 's/^/route /'
      ip nexthop show | grep -v 'proto 0x68' | sed 's/^/nexthop /'
      ip neigh show nud permanent | grep -v 'dev ${device} ' | sed 's/^/neigh /'
      bridge fdb show | grep -v 'dev ${device} ' | sed 's/^/fdb /'
      ip rule show
      nft list ruleset | sed '/table ip flannel/,/^}/d; /table ip6 flannel/,/^}/d'
    `),
  )
}
