// Blockers of packets of pods, found in rules that real tools wrote into a real kernel: named to the rule, with the
// count that the kernel keeps of it.
import { describe, expect, test } from 'bun:test'
import { kernel, type TestHost } from '../../../test/support/kernel.ts'
import { prefix } from '../../../test/support/values.ts'
import { LegacyTables } from '../../xtables/legacy.ts'
import { countText, ownerOf, remedies, showCommand, whereText } from './advice.ts'
import { packetsOf, type Packet, type Site } from './packet.ts'
import { readRuleset } from './reader.ts'
import { follow, type Blocker, type Verdict } from './walk.ts'

const SITE: Site = {
  network: prefix('10.244.0.0/16'),
  subnet: prefix('10.244.1.0/24'),
  podLink: { name: 'cni0' },
  peerLink: { name: 'flannel.1' },
  underlay: { name: 'eth0' },
  tunnel: { port: 8472, family: 'ipv4', local: prefix('192.168.0.1/32') },
}
const SITE6: Site = {
  ...SITE,
  network: prefix('fd00:244::/48'),
  subnet: prefix('fd00:244:0:1::/64'),
  peerLink: { name: 'flannel-v6.1' },
}
const [toPeers, fromPeers, tunnelIn, tunnelOut, toOutside] = packetsOf('ipv4', SITE) as [
  Packet,
  Packet,
  Packet,
  Packet,
  Packet,
]
const [toPeers6] = packetsOf('ipv6', SITE6) as [Packet]

function judge(host: TestHost, packet: Packet): Verdict {
  using legacy = new LegacyTables(host.namespace)
  return follow(packet, readRuleset(host.netlink('netfilter'), legacy))
}

/** The one that drops for certain, in words. */
function dropper(host: TestHost, packet: Packet): string | undefined {
  const blocker = judge(host, packet).blockers.find(({ certainty }) => certainty === 'drops')
  return blocker && whereText(blocker)
}
const doubtful = (host: TestHost, packet: Packet): string[] =>
  judge(host, packet)
    .blockers.filter(({ certainty }) => certainty === 'may drop')
    .map(whereText)
/** None is asked for where the chain itself tells. */
const NO_RULES = { rules: () => [] }
const nft = (host: TestHost, ruleset: string): Promise<string> => host.sh(`nft -f - <<'END'\n${ruleset}\nEND`)

describe('a packet of pods', () => {
  test('may be dropped by a set that is too large to be looked at', async () => {
    await using host = await kernel()
    await nft(
      host,
      `table ip walls {
        set bad { type ipv4_addr; elements = { 11.0.0.1, 11.0.0.2 } }
        chain wall { type filter hook forward priority 0; ip saddr @bad drop; }
      }`,
    )
    expect(judge(host, fromPeers)).toEqual({ blockers: [] })
    await host.sh(`seq 0 30000 | awk '{ printf "add element ip walls bad { 12.1.%d.%d }\\n", $1 / 250, $1 % 250 }' |
      nft -f -`)
    expect(doubtful(host, fromPeers)).toEqual([expect.stringContaining('ip saddr @bad drop')])
  })

  test('passes where there are no rules, and where others are dropped', async () => {
    await using host = await kernel()
    expect(judge(host, toPeers)).toEqual({ blockers: [] })
    await nft(
      host,
      `table inet walls {
        set bad { type ipv4_addr; flags interval; elements = { 10.0.0.0/24, 10.244.200.0-10.245.0.5, 172.16.0.0/12 } }
        set services { type ipv4_addr . inet_proto . inet_service; elements = { 10.96.0.1 . tcp . 443 } }
        chain forward { type filter hook forward priority 0; policy accept;
          ct state invalid drop
          ct state established,related accept
          iifname "docker*" drop
          oifname "docker0" drop
          iifname != { "cni0", "flannel.1" } ip saddr 10.244.1.0/24 drop
          ip saddr @bad ip daddr 192.0.2.0/24 drop
          ip daddr . meta l4proto . th dport @services drop
          tcp dport { 22, 80, 443 } drop
          tcp flags & (fin|syn|rst|ack) == fin drop
          udp dport 1-65535 drop
          meta mark & 0xff00 == 0x100 drop
          fib saddr . mark . iif oif missing drop
          ip saddr 10.244.1.0/24 ip daddr 169.254.169.254 drop
          ip6 saddr ::/0 drop
        }
        chain input { type filter hook input priority 0; policy accept; udp dport 53 drop; tcp dport != 1 drop; }
      }`,
    )
    for (const packet of [toPeers, fromPeers, tunnelIn, tunnelOut, toOutside])
      expect(judge(host, packet)).toEqual({ blockers: [] })
    expect(dropper(host, toPeers6)).toContain('ip6 saddr')
  })

  test('is dropped by the rule that the kernel would drop it by: in the order of priorities, through jumps and maps', async () => {
    await using host = await kernel()
    await nft(
      host,
      `table ip late {
         chain f { type filter hook forward priority 10; policy drop; }
       }
       table inet early {
         chain deep { ip saddr 10.244.0.0/15 counter packets 7 bytes 700 drop comment "no pods here"; }
         chain out {
           ip daddr 10.0.0.0/8 drop
           return
           drop
         }
         map by {
           type ifname . ifname : verdict
           elements = { "cni0" . "flannel.1" : goto deep, "cni0" . "eth0" : jump out }
         }
         chain f { type filter hook forward priority -5; iifname . oifname vmap @by; }
         chain i { type filter hook input priority 0; iifname "eth0" udp dport 8000-9000 reject; }
       }`,
    )
    const [blocker] = judge(host, toPeers).blockers as [Blocker]
    expect(whereText(blocker)).toMatch(
      /^rule 1 \(handle \d+\) of chain deep of table inet early: .*ip saddr 10\.244\.0\.0\/15 counter packets 7 bytes 700 drop comment "no pods here"$/,
    )
    expect(blocker).toMatchObject({ certainty: 'drops', how: 'drop', counter: { packets: 7n, bytes: 700n } })
    expect(dropper(host, toOutside)).toBe('the policy of chain f of table ip late (hook forward)')
    expect(dropper(host, tunnelIn)).toContain('th dport >= 8000 th dport <= 9000 reject')
    expect(dropper(host, tunnelOut)).toBeUndefined()
  })

  test('may be dropped where what a rule asks for is unknown, and is dropped by what comes behind', async () => {
    await using host = await kernel()
    await nft(
      host,
      `table inet walls {
         chain odd { ip daddr 10.244.2.5 drop; }
         chain f { type filter hook forward priority 0; policy drop;
           jump odd
           limit rate 5/second accept
         }
         chain g { type filter hook forward priority 5; counter drop; }
       }`,
    )
    expect(doubtful(host, toPeers)).toEqual([
      expect.stringContaining('of chain odd of table inet walls: meta nfproto ipv4 ip daddr 10.244.2.5 drop'),
      'the policy of chain f of table inet walls (hook forward)',
    ])
    expect(dropper(host, toPeers)).toContain('chain g of table inet walls')
    await host.sh('nft flush chain inet walls g; nft insert rule inet walls f accept')
    expect(judge(host, toPeers)).toEqual({ blockers: [] })
    // Either way it is accepted: only what might come back from a chain is for the rest of the rules.
    await nft(
      host,
      `flush ruleset
       table inet zones {
         chain trusted { accept; }
         chain public { tcp dport 22 accept; ct state new accept; reject; }
         chain zones { ip daddr 10.244.2.0/24 goto trusted; goto public; }
         chain f { type filter hook forward priority 0; policy drop; jump zones; reject; }
       }`,
    )
    expect(judge(host, toPeers)).toEqual({ blockers: [] })
    await host.sh('nft insert rule inet zones trusted ip daddr 10.244.2.7 return')
    expect(doubtful(host, toPeers)).toEqual([expect.stringContaining('chain f of table inet zones: reject')])
    await host.sh('nft flush chain inet zones trusted; nft add rule inet zones trusted drop')
    expect(doubtful(host, toPeers)).toEqual([
      expect.stringContaining('chain trusted of table inet zones: drop'),
    ])
  })

  test('is marked, notrack-ed and met on devices and bridges', async () => {
    await using host = await kernel()
    await host.sh('ip link add eth0 type veth peer name other; ip link add cni0 type bridge')
    await nft(
      host,
      `table ip marks {
         chain p { type filter hook prerouting priority mangle; iifname "cni0" meta mark set 0x100; }
       }
       table ip walls {
         chain f { type filter hook forward priority 0; meta mark & 0xff00 == 0x100 drop; }
       }`,
    )
    expect(dropper(host, toPeers)).toContain('table ip walls: meta mark and 0x')
    expect(dropper(host, fromPeers)).toBeUndefined()
    await host.sh('nft flush ruleset')
    await nft(
      host,
      `table netdev early {
         chain i { type filter hook ingress device eth0 priority 0; udp dport 8472 drop; }
       }
       table bridge b {
         chain o { type filter hook output priority 0; ip daddr 10.244.0.0/16 drop; }
       }`,
    )
    expect(dropper(host, tunnelIn)).toContain('table netdev early: ')
    expect(dropper(host, toPeers)).toBeUndefined()
    expect(dropper(host, fromPeers)).toContain('table bridge b: ')
  })

  test('is not dropped by a table that sleeps', async () => {
    await using host = await kernel()
    await nft(
      host,
      'table ip t {\nflags dormant\nchain f { type filter hook forward priority 0; policy drop; }\n}',
    )
    expect(judge(host, toPeers)).toEqual({ blockers: [] })
  })
})

describe('rules of iptables-nft', () => {
  test('a policy of FORWARD, with its count, and what to type', async () => {
    await using host = await kernel()
    await host.sh('iptables-nft -P FORWARD DROP')
    const [blocker] = judge(host, toPeers).blockers as [Blocker]
    expect(whereText(blocker)).toBe('the policy of chain FORWARD of table ip filter (hook forward)')
    expect(ownerOf(blocker, NO_RULES)).toBe('iptables')
    expect(
      remedies(blocker, 'iptables', { networks: [SITE.network, SITE6.network], underlay: 'eth0' }),
    ).toEqual([
      'iptables -I FORWARD -s 10.244.0.0/16 -j ACCEPT',
      'iptables -I FORWARD -d 10.244.0.0/16 -j ACCEPT',
    ])
    expect(dropper(host, toPeers6)).toBeUndefined()
  })

  test("Docker's chains let its own networks through, and not pods", async () => {
    await using host = await kernel()
    await host.sh(`iptables-nft-restore <<'END'
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [3:180]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
END`)
    for (const packet of [toPeers, fromPeers, toOutside])
      expect(dropper(host, packet)).toBe('the policy of chain FORWARD of table ip filter (hook forward)')
    await host.sh(
      'iptables-nft -I DOCKER-USER -m conntrack --ctstate NEW -m comment --comment "pods: none" -j REJECT',
    )
    const [blocker] = judge(host, toPeers).blockers as [Blocker]
    expect(whereText(blocker)).toMatch(
      /^rule 1 .* of chain DOCKER-USER of table ip filter: .*comment "pods: none"$/,
    )
    expect([ownerOf(blocker, NO_RULES), countText(blocker)]).toEqual(['docker', '0 packets so far'])
    await host.sh('iptables-nft -R DOCKER-USER 1 -s 10.244.0.0/16 -m mark ! --mark 0x7 -j ACCEPT')
    expect(dropper(host, toPeers)).toBeUndefined()
    await host.sh(
      'iptables-nft -I INPUT -p udp -m udp --dport 8472 -m conntrack ! --ctstate ESTABLISHED -j DROP; iptables-nft -I INPUT -p udp -m udp --dport 9999 -j DROP',
    )
    expect(dropper(host, tunnelIn)).toMatch(/^rule 2 .* of chain INPUT/)
  })
})

describe('rules of iptables-legacy', () => {
  test('a policy of FORWARD by both families, and rules of all tables', async () => {
    await using host = await kernel()
    await host.sh('iptables-legacy -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP')
    expect(dropper(host, toPeers)).toBe(
      'the policy of chain FORWARD of table filter of iptables-legacy (hook forward)',
    )
    expect(dropper(host, toPeers6)).toBe(
      'the policy of chain FORWARD of table filter of ip6tables-legacy (hook forward)',
    )
    await host.sh(`iptables-legacy-restore --counters <<'END'
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [5:300]
:OUTPUT ACCEPT [0:0]
:pods - [0:0]
:ufw-before-forward - [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker+ -j DROP
-A FORWARD ! -s 10.0.0.0/8 -j DROP
-A FORWARD -p tcp -m tcp --dport 1:1024 -j DROP
-A FORWARD -p udp -j DROP
-A FORWARD -i cni0 ! -o eth0 -g pods
-A FORWARD -j ufw-before-forward
-A pods -s 10.244.1.0/24 -d 10.244.0.0/255.255.0.0 -j RETURN
[9:900] -A ufw-before-forward -j REJECT
COMMIT
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -i eth0 -p udp -m udp --dport 8472 -m comment --comment "no tunnel" -j DROP
COMMIT
END`)
    expect(judge(host, toPeers).blockers).toMatchObject([{ how: 'policy', counter: { packets: 5n } }])
    const [rejected] = judge(host, toOutside).blockers as [Blocker]
    expect(whereText(rejected)).toMatch(
      /^rule 1 of chain ufw-before-forward of table filter of iptables-legacy: /,
    )
    expect([ownerOf(rejected, NO_RULES), countText(rejected)]).toEqual(['ufw', '9 packets so far'])
    expect(showCommand(rejected)).toBe('iptables-legacy -t filter -nvL ufw-before-forward --line-numbers')
    const [dropped] = judge(host, tunnelIn).blockers as [Blocker]
    expect(whereText(dropped)).toMatch(
      /^rule 1 of chain PREROUTING of table raw of iptables-legacy: iifname "eth0" meta l4proto udp .*comment "no tunnel"$/,
    )
    expect(dropper(host, tunnelOut)).toBeUndefined()
    await host.sh('iptables-legacy -I FORWARD -s 10.244.0.0/16 -j ACCEPT')
    expect(judge(host, toPeers)).toEqual({ blockers: [] })
  })
})
