// What is read of a host, in a real kernel: what hears routers, whether kube-proxy has rules.
import { expect, test } from 'bun:test'
import { cpus } from 'node:os'
import { kernel, type TestHost } from '../../test/support/kernel.ts'
import { readHostFacts, type HostFacts } from './facts.ts'

const factsOf = (host: TestHost): HostFacts =>
  readHostFacts(
    { route: host.netlink(), netfilter: host.netlink('netfilter'), namespace: host.namespace },
    'eth0',
  )

test('links that hear routers are found by the interface between hosts, by a route and by an address that ends', async () => {
  await using host = await kernel()
  await host.sh(`
    for each in all default; do echo 0 > /proc/sys/net/ipv6/conf/$each/accept_dad; done
    echo 0 > /proc/sys/net/ipv6/conf/all/forwarding
    for link in eth0 wan.7 lan quiet deaf; do
      ip link add $link type veth peer name p$link; ip link set p$link up; ip link set $link up
      echo 1 > /proc/sys/net/ipv6/conf/$link/accept_ra
    done
    ip -6 route add default via fe80::1 dev wan.7 proto ra
    ip addr add 2001:db8::5/64 dev lan valid_lft 3600 preferred_lft 1800
    ip addr add 2001:db8:1::5/64 dev quiet
    ip -6 route add 2001:db8:9::/48 via fe80::1 dev deaf proto ra
    echo 0 > /proc/sys/net/ipv6/conf/deaf/accept_ra
  `)
  expect(factsOf(host).advertisedTo.toSorted()).toEqual(['eth0', 'lan', 'wan.7'])
  expect(factsOf(host)).toMatchObject({ forwardsIpv6: false, hasIpv6: true, cores: cpus().length })
  await host.sh('echo 1 > /proc/sys/net/ipv6/conf/all/forwarding')
  expect(factsOf(host)).toMatchObject({ forwardsIpv6: true, advertisedTo: [] })
})

test('limits of neighbours are the host’s own namespace’s, which this one is not', async () => {
  await using host = await kernel()
  expect(factsOf(host).neighbourLimits).toEqual([])
})

test('kube-proxy is known by its table, or by its chain in iptables’ own', async () => {
  await using host = await kernel()
  expect(factsOf(host).kubeProxy).toEqual([])
  await host.sh('nft add table ip nat; nft add chain ip nat KUBE-OTHER')
  expect(factsOf(host).kubeProxy).toEqual([])
  await host.sh('nft add chain ip nat KUBE-SERVICES')
  expect(factsOf(host).kubeProxy).toEqual(['ipv4'])
  await host.sh('nft add table ip6 kube-proxy; nft delete chain ip nat KUBE-SERVICES')
  expect(factsOf(host).kubeProxy).toEqual(['ipv6'])
})

test('kube-proxy is known by its chain in legacy iptables, which are not made by asking', async () => {
  await using host = await kernel()
  expect(factsOf(host).kubeProxy).toEqual([])
  expect(await host.sh('cat /proc/net/ip_tables_names')).toBe('')
  await host.sh('iptables-legacy -t nat -N KUBE-MARK-MASQ; ip6tables-legacy -t nat -N KUBE-SERVICES')
  expect(factsOf(host).kubeProxy).toEqual(['ipv6'])
})

test('strict filtering of all links is seen', async () => {
  await using host = await kernel()
  await host.sh('echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter')
  expect(factsOf(host).rpFilterOfAll).toBe(1)
})
