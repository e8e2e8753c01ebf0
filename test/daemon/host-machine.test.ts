// Settings that only a whole machine has, on one of its own (Debian's kernel, emulated): limits of neighbours and of
// connection tracking, modules; set, watched, and put back.
import { expect, test } from 'bun:test'
import { FLANNELD, HEDDLE } from '../support/executable.ts'
import { runGuest } from '../support/guest.ts'

const PEERS = 300
const WITHIN_SECONDS = 240

/** Leases of other hosts, in transactions of a hundred, as etcdctl reads them. */
const LEASES = `
for hundred in 0 1 2; do
  { echo; for each in $(seq 100); do
      echo "put /coreos.com/network/subnets/10.5.$((100 + hundred * 50 + each / 2)).$((each % 2 * 128))-25 {\\"PublicIP\\":\\"192.168.$((1 + hundred)).$each\\",\\"BackendType\\":\\"host-gw\\"}"
    done; echo; echo; } | etcdctl txn > /dev/null
done`

const SCRIPT = `
value() { echo "$1 $2=$(cat /proc/sys/net/$2)"; }
values() {
  for threshold in 1 2 3; do value $1 ipv4/neigh/default/gc_thresh$threshold; done
  for name in max buckets tcp_timeout_close_wait; do value $1 netfilter/nf_conntrack_$name; done
  value $1 ipv4/ip_forward
}
# Started with its own flags; told once it is ready.
start() {
  flanneld --etcd-endpoints=http://127.0.0.1:2379 --ip-masq --healthz-port=8471 "$@" > /tmp/flanneld.log 2>&1 &
  pid=$!
  until grep -q 'flannel is ready' /tmp/flanneld.log; do
    kill -0 $pid || { cat /tmp/flanneld.log; exit 1; }
    sleep 0.2
  done
}
stop() { kill $pid; wait $pid || true; }
metric() { wget -qO- http://127.0.0.1:8471/metrics | grep "^heddle_conntrack_$1 "; }

modprobe dummy; ip link add eth0 type dummy; ip addr add 192.168.0.1/16 dev eth0; ip link set eth0 up
ip route add default via 192.168.0.254
heddle store --listen 127.0.0.1:2379 --data-dir /tmp/store --allow-plaintext > /tmp/store.log 2>&1 &
until grep -q serving /tmp/store.log; do sleep 0.2; done
export ETCDCTL_API=3
etcdctl put /coreos.com/network/config '{"Network":"10.5.0.0/16","SubnetLen":25,"SubnetMax":"10.5.99.0","Backend":{"Type":"host-gw"}}' > /dev/null
${LEASES}
modprobe nf_conntrack
# A table as kube-proxy has it; and the daemon reaches its store though no connection may be added.
nft add table ip kube-proxy
nft 'add table ip raw; add chain ip raw o { type filter hook output priority -300; }; add rule ip raw o ip protocol tcp notrack'
sysctl -w net.ipv4.ip_forward=0 > /dev/null
sysctl -w net.ipv4.neigh.default.gc_thresh1=700 > /dev/null
values before
test ! -e /proc/sys/net/bridge
start --conntrack-max-per-core=300000 --conntrack-tcp-timeout-close-wait=30m
values during
# A module may take its time.
until test -e /proc/sys/net/bridge/bridge-nf-call-iptables; do sleep 0.2; done
value during bridge/bridge-nf-call-iptables
lsmod | grep -q '^br_netfilter '
metric max
stop
flanneld --cleanup --etcd-endpoints=http://127.0.0.1:2379 > /dev/null
values after

# A table that is full.
sysctl -w net.netfilter.nf_conntrack_max=16 net.netfilter.nf_conntrack_udp_timeout=900 > /dev/null
nft 'add chain ip raw f { type filter hook output priority 0; }; add rule ip raw f ct state new counter'
bash -c 'for port in {2000..2040}; do echo x > /dev/udp/127.0.0.1/$port; done' 2> /dev/null || true
start
until grep 'connection tracking has' /tmp/flanneld.log; do sleep 0.5; done
for name in entries max drop_total; do metric $name; done
stop`

test(
  'limits and modules of a whole machine are set, told and put back',
  async () => {
    const text = await runGuest({
      programs: [HEDDLE, FLANNELD, '/usr/bin/etcdctl', '/usr/sbin/nft', '/bin/bash'],
      modules:
        'dummy vxlan bridge br_netfilter nf_conntrack nf_conntrack_netlink nf_tables nft_chain_nat nft_masq nft_ct'.split(
          ' ',
        ),
      script: SCRIPT,
      withinSeconds: WITHIN_SECONDS,
    })
    const values = (when: string) =>
      Object.fromEntries(
        [...text.matchAll(new RegExp(`^${when} (\\S+)=(\\d+)$`, 'gm'))].map(([, name = '', value]) => [
          name.replace(/^.*\//, ''),
          Number(value),
        ]),
      )
    const before = values('before')
    expect(before).toMatchObject({ gc_thresh1: 700, gc_thresh2: 512, gc_thresh3: 1024, ip_forward: 0 })
    const max = 2 * 300_000
    const during = values('during')
    expect(during).toMatchObject({
      // More than is needed: left.
      gc_thresh1: 700,
      gc_thresh2: 1024,
      gc_thresh3: 2048,
      nf_conntrack_max: max,
      nf_conntrack_tcp_timeout_close_wait: 1800,
      ip_forward: 1,
      'bridge-nf-call-iptables': 1,
    })
    expect(during['nf_conntrack_buckets']).toBeGreaterThanOrEqual(max / 4)
    expect(2 * (2 * PEERS + 256)).toBeLessThanOrEqual(2048)
    expect(text).toContain(`heddle_conntrack_max ${max}\n`)
    // Others may need it by then.
    expect(values('after')).toEqual({ ...before, ip_forward: 1 })
    expect(text).toMatch(
      /^W\d.* connection tracking has 1\d of 16 entries in use \(\d+ %\): once it is full, /m,
    )
    expect(text).toContain('heddle_conntrack_max 16\n')
    expect(Number(/^heddle_conntrack_drop_total (\d+)$/m.exec(text)?.[1])).toBeGreaterThan(0)
  },
  (WITHIN_SECONDS + 30) * 1000,
)
