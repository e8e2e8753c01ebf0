// Whether a pod's packet to the outside gets this host's address: the rule of flannel's nf_tables table.
import { tableName } from '../../firewall/rules.ts'
import { familyOf, type Ip } from '../../model/ip.ts'
import { NetlinkError } from '../../netlink/error.ts'
import { readTable } from '../../netlink/nftables/read.ts'
import { NetlinkSocket } from '../../netlink/socket.ts'
import { isSysError } from '../../sys/libc.ts'
import { there, type Hop } from './hop.ts'
import type { Told } from './told.ts'

export function masqueradeHop(to: Ip, told: Told): Hop {
  const family = familyOf(to)
  const object = `table ${family === 'ipv4' ? 'ip' : 'ip6'} ${tableName(family)}`
  const open = (note: string): Hop => ({ layer: 'inner', kind: 'masquerade', state: 'open', object, note })
  let chain: string | undefined
  try {
    using socket = NetlinkSocket.open('netfilter')
    chain = readTable(socket, { family, name: tableName(family) })?.chains.find(({ rules }) =>
      rules.some(({ verdict }) => verdict.verdict === 'masquerade'),
    )?.name
  } catch (error) {
    if (!(error instanceof NetlinkError) && !isSysError(error)) throw error
    const unread = open(`whether it is there can't be read: ${error.message}`)
    return told.masquerades === false ? unread : { ...unread, state: 'unknown' }
  }
  if (chain !== undefined)
    return there(
      'inner',
      'masquerade',
      `${object} chain ${chain}`,
      'what pods send gets an address of this host',
    )
  if (told.masquerades === true)
    return {
      layer: 'inner',
      kind: 'masquerade',
      state: 'missing',
      object,
      note: 'subnet.env says that flanneld masquerades (--ip-masq), and its rules are not there',
      advice: `${told.restore}; upstream's flanneld may have rules of iptables instead, which are not looked at`,
    }
  return open('flanneld does not masquerade here (--ip-masq): something else must, or pods are known outside')
}
