// Whether a pod's packet to the outside gets this host's address: the rule of flannel's nf_tables table, or its chain of
// iptables.
import { MASQUERADE_CHAIN } from '../../firewall/chain-names.ts'
import { tableName } from '../../firewall/rules.ts'
import { familyOf, type Family, type Ip } from '../../model/ip.ts'
import { ignoreMissing, NetlinkError } from '../../netlink/error.ts'
import { readTable } from '../../netlink/nftables/read.ts'
import { getChain } from '../../netlink/nftables/table.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import { isSysError } from '../../sys/libc.ts'
import { XtablesError } from '../../xtables/error.ts'
import { LegacyTables } from '../../xtables/legacy.ts'
import { there, type Hop } from './hop.ts'
import type { Told } from './told.ts'

export function masqueradeHop(to: Ip, told: Told): Hop {
  const family = familyOf(to)
  const object = `table ${family === 'ipv4' ? 'ip' : 'ip6'} ${tableName(family)}`
  const open = (note: string): Hop => ({ layer: 'inner', kind: 'masquerade', state: 'open', object, note })
  let chain: string | undefined
  let iptables: string | undefined
  try {
    using socket = NetlinkSocket.open('netfilter')
    chain = readTable(socket, { family, name: tableName(family) })?.chains.find(({ rules }) =>
      rules.some(({ verdict }) => verdict.verdict === 'masquerade'),
    )?.name
    if (chain === undefined) iptables = iptablesChain(socket, family)
  } catch (error) {
    if (!(error instanceof NetlinkError || error instanceof XtablesError) && !isSysError(error)) throw error
    const unread = open(`whether it is there can't be read: ${error.message}`)
    return told.masquerades === false ? unread : { ...unread, state: 'unknown' }
  }
  const place = chain === undefined ? iptables : `${object} chain ${chain}`
  if (place !== undefined)
    return there('inner', 'masquerade', place, 'what pods send gets an address of this host')
  if (told.masquerades === true)
    return {
      layer: 'inner',
      kind: 'masquerade',
      state: 'missing',
      object,
      note: 'subnet.env says that flanneld masquerades (--ip-masq), and its rules are not there',
      advice: told.restore,
    }
  return open('flanneld does not masquerade here (--ip-masq): something else must, or pods are known outside')
}

/** Where iptables, of either flavour, has flannel's chain. Only of tables that are there: to ask for another would make it. */
function iptablesChain(socket: NetlinkSocket, family: Family): string | undefined {
  const { table, name } = MASQUERADE_CHAIN
  const tool = family === 'ipv4' ? 'iptables' : 'ip6tables'
  using legacy = new LegacyTables()
  if (legacy.read(family, table)?.chains().includes(name) === true) return `${tool}-legacy ${table} ${name}`
  const isThere = ignoreMissing(() => void socket.request(getChain({ family, name: table }, name)))
  return isThere ? `${tool}-nft ${table} ${name}` : undefined
}
