#!/bin/sh
# Writes captures.json: the last message that each `ip` and `bridge` command below sends, as strace saw it.
# Run as root: unshare -n sh capture.sh > captures.json   (seen with iproute2 6.1.0)
# Links in it: 1 lo, 2 vb, 3 va, 4 br0, 5 flannel.1, 6 flannel-v6.1.
set -eu
ip link set lo up
ip link add va type veth peer name vb
ip link set va up
ip link set vb up
ip addr add 192.0.2.1/24 dev va
ip addr add 2001:db8::1/64 dev va nodad

first=yes
capture() {
  [ "$first" = yes ] && printf '{\n' || printf ',\n'
  first=no
  strace -o /dev/stdout -e trace=sendto,sendmsg -e write=all "$@" 2>/dev/null |
    awk '/^ \| 00000 / { hex = "" }
         /^ \| / { line = substr($0, 11, 49); gsub(/ /, "", line); hex = hex line }
         END { printf "%s", hex }' > /tmp/capture.$$
  printf '  "%s": "%s"' "$*" "$(cat /tmp/capture.$$)"
  rm /tmp/capture.$$
}

capture ip link add br0 type bridge
capture ip link add flannel.1 mtu 1450 address 0e:2a:00:00:00:01 txqueuelen 0 type vxlan id 1 dev va local 192.0.2.1 ttl 0 tos 0 nolearning dstport 8472 gbp
capture ip link add flannel-v6.1 mtu 1430 address 0e:2a:00:00:00:06 type vxlan id 1 dev va local 2001:db8::1 learning dstport 8472 noudp6zerocsumtx noudp6zerocsumrx
capture ip link add ve mtu 1400 address 02:00:00:00:00:03 type veth peer name vf mtu 1300 address 02:00:00:00:00:04
capture ip link set flannel.1 up
capture ip link set flannel-v6.1 up
capture ip link set vb mtu 1280
capture ip link set vb address 02:00:00:00:00:09
capture ip link set vb master br0
capture ip link set vb nomaster
capture ip link set ve name vg
capture ip link del vg
capture ip -4 addr replace 10.5.1.0/32 dev flannel.1
capture ip -6 addr replace fd00:5:0:1::/128 dev flannel-v6.1 nodad noprefixroute
capture ip addr del 10.5.1.0/32 dev flannel.1
capture ip neigh replace 10.5.2.0 lladdr 02:00:00:00:00:02 dev flannel.1 nud permanent
capture ip neigh replace fd00:5:0:2:: lladdr 02:00:00:00:00:02 dev flannel-v6.1 nud permanent
capture ip neigh del 10.5.2.0 dev flannel.1
capture bridge fdb replace 02:00:00:00:00:02 dev flannel.1 self dst 192.0.2.2
capture bridge fdb replace 02:00:00:00:00:02 dev flannel-v6.1 self dst 2001:db8::2
capture bridge fdb del 02:00:00:00:00:02 dev flannel.1 self dst 192.0.2.2
capture ip nexthop replace id 1744830465 via 10.5.2.0 dev flannel.1 onlink proto 104
capture ip nexthop replace id 1744830466 via fd00:5:0:2:: dev flannel-v6.1 onlink proto 104
capture ip route replace 10.5.2.0/24 nhid 1744830465 proto 104
capture ip -6 route replace fd00:5:0:2::/64 nhid 1744830466 proto 104
capture ip route replace 10.5.3.0/24 via 10.5.3.0 dev flannel.1 onlink proto 104
capture ip -6 route replace fd00:5:0:3::/64 via fd00:5:0:3:: dev flannel-v6.1 onlink proto 104
capture ip route replace 10.5.4.0/24 via 192.0.2.2 proto boot
capture ip route replace 10.5.5.0/24 dev va metric 7 table 1000 proto 104
capture ip route add blackhole 10.5.0.0/16 metric 4096 proto 104
capture ip -6 route add blackhole fd00:5::/32 metric 4096 proto 104
capture ip route replace default via 192.0.2.2 dev va proto static
capture ip route replace 10.5.6.0/24 via inet6 fe80::1 dev va proto 104
capture ip route del 10.5.3.0/24 via 10.5.3.0 dev flannel.1 proto 104
capture ip nexthop del id 1744830465
capture ip link show dev flannel.1
capture ip nexthop show dev flannel.1
capture ip neigh show dev flannel.1
printf '\n}\n'
