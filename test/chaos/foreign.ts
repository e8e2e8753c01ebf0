// Other people's things on a host, each of which looks a little like heddle's and is none. They hang on links that no
// fault touches.

/** The line that snapshot.ts makes of each has `device` in it, which must be another one each time; `number` too: from 0 to 99. */
export const foreignObjects = (device: string, number: number): string => `
  ip link add ${device} address 02:f0:00:00:00:${pad(number)} type veth peer name ${device}p
  ip link set ${device}p up
  ip address add 203.0.${number}.1/24 dev ${device}
  ip link set ${device} up
  ip address add fd00:f0:${number}::1/64 dev ${device} nodad
  ip link add ${device}v address 02:f1:00:00:00:${pad(number)} type vxlan id ${100 + number} dstport 4789 dev ${device}
  ip address add 10.77.${number}.1/32 dev ${device}v
  ip link set ${device}v up
  ip neighbour add 203.0.${number}.2 lladdr 02:f2:00:00:00:01 dev ${device} nud permanent
  ip neighbour add 10.77.${number}.2 lladdr 02:f2:00:00:00:02 dev ${device}v nud permanent
  ip neighbour add fd00:f0:${number}::2 lladdr 02:f2:00:00:00:03 dev ${device} nud permanent
  bridge fdb add 02:f2:00:00:00:04 dev ${device}v dst 203.0.${number}.2
  ip route add 10.${100 + number}.0.0/16 via 203.0.${number}.2 proto static
  ip route add 10.244.0.0/24 via 203.0.${number}.2 proto static metric ${100 + number}
  ip route add 10.244.99.0/24 via 203.0.${number}.2 proto 104 table ${1000 + number}
  ip route add 172.16.${number}.0/24 via 203.0.${number}.2 proto 104
  ip -6 route add fd44:244:0:99::/64 via fd00:f0:${number}::2 proto static metric ${100 + number}
  ip -6 route add fd00:f1:${number}::/64 via fd00:f0:${number}::2 proto 104
  ip nexthop add id ${7000 + number} via 203.0.${number}.2 dev ${device}
  ip nexthop add id ${0x68_ff_0000 + number} via 203.0.${number}.3 dev ${device}
  ip nexthop add id ${8000 + number} via 203.0.${number}.4 dev ${device} protocol 104
  ip route add 172.17.${number}.0/24 nhid ${7000 + number} proto static
  ip rule add iif ${device} lookup ${1000 + number} priority ${20_000 + number}
  nft add table ip ${device}; nft add chain ip ${device} forward; nft add rule ip ${device} forward ip daddr 10.244.0.0/16 counter accept`

const pad = (number: number): string => number.toString(16).padStart(2, '0')
