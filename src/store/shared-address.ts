// Peers that publish one and the same PublicIP. They are used all the same: no entry of the kernel is in the other's
// way, and nothing in the store tells which of them lives. As a rule the other is what a dead host has left, whose
// address the living one was given; its lease may be the older or the younger. Pure.
import type { Ip } from '../model/ip.ts'
import type { Lease, SubnetKey } from '../model/lease.ts'

/** Why to doubt each of them, as it goes on after the lease's name. */
export function sharedAddresses(peers: Iterable<Lease>): Map<SubnetKey, string> {
  const holders = new Map<Ip, SubnetKey[]>()
  for (const { key, ipv4, ipv6 } of peers)
    for (const ip of [ipv4?.publicIp, ipv6?.publicIp]) {
      const keys = ip && holders.get(ip)
      if (keys) keys.push(key)
      else if (ip) holders.set(ip, [key])
    }
  const doubtful = new Map<SubnetKey, string>()
  for (const [ip, keys] of holders)
    for (const [index, key] of keys.length > 1 ? keys.entries() : []) {
      const others = keys.length - 2
      const more = others === 0 ? '' : ` and of ${others} more`
      doubtful.set(key, `PublicIP ${ip} is that of ${keys[index === 0 ? 1 : 0]} too${more}`)
    }
  return doubtful
}
