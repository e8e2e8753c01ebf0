// All that flanneld could have changed on a host, as text: its namespace's links, addresses, routes, neighbours, next
// hops and rules, and its files.
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Host } from './segment.ts'

export async function hostState(host: Host): Promise<string> {
  const kernel = await host.sh(`
    ip -d link; ip -d addr | sed -e 's/ tentative//' | grep -v preferred_lft
    ip route show table all; ip -6 route show table all | sed -e 's/ expires [^ ]*//'
    ip rule; ip neigh show nud permanent; ip nexthop; nft list ruleset
    bridge fdb | grep -v ' dev cni0' | sort`)
  return `${kernel}\n${filesOf(host.folder).join('\n')}`
}

const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => `${name} ${statSync(join(folder, name)).isDirectory() ? 'd' : 'f'}`)
    .sort()
