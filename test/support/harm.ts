// Every way in which something else on a host may break what heddle keeps there, one of each kind.

export interface Harm {
  readonly name: string
  /** Shell, run in the host's namespace. */
  readonly command: string
}

export const VXLAN_HARMS: readonly Harm[] = [
  { name: 'the device deleted', command: 'ip link del flannel.1' },
  { name: 'the device down and up', command: 'ip link set flannel.1 down; ip link set flannel.1 up' },
  { name: 'the device left down', command: 'ip link set flannel.1 down' },
  // Not `ip route flush dev flannel.1`: iproute2 names both nexthop and gateway, which the kernel refuses.
  {
    name: 'its routes flushed',
    command: 'ip route show dev flannel.1 | while read to rest; do ip route del $to; done',
  },
  { name: 'its neighbours flushed', command: 'ip neigh flush dev flannel.1 nud permanent' },
  {
    name: 'its FDB flushed',
    command:
      'bridge fdb show dev flannel.1 | while read mac rest; do bridge fdb del $mac dev flannel.1 self; done',
  },
  { name: 'the nexthops flushed', command: 'ip nexthop flush proto 0x68' },
  { name: 'a wrong MAC', command: 'ip link set flannel.1 address 02:bb:ad:00:00:01' },
  { name: 'a wrong MTU', command: 'ip link set flannel.1 mtu 1300' },
  { name: 'its address removed', command: 'ip addr flush dev flannel.1' },
  {
    name: 'another device of its name',
    // In one go, else heddle's own is back in between; should it be, the other one is of no use.
    command: `ip link add other type vxlan id 77 dev eth0 dstport 4789
      printf 'link del flannel.1\\nlink set other name flannel.1\\n' | ip -batch - || ip link del other`,
  },
  { name: 'the nf_tables ruleset flushed', command: 'nft flush ruleset' },
]

/** Peers are reached through eth0 itself. */
export const HOST_GW_HARMS: readonly Harm[] = [
  { name: 'the routes flushed', command: 'ip route flush proto 0x68' },
  { name: 'the underlay down and up', command: 'ip link set eth0 down; ip link set eth0 up' },
]
