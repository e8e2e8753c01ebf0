// Over real tunnels: a bad device is found out by those who hear it, and by nobody else.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { BadDevice } from '../../test/support/bad-device.ts'
import { Segment, type Host } from '../../test/support/segment.ts'
import { ip } from '../../test/support/values.ts'
import { Ethtool } from '../sys/ethtool.ts'
import { survey } from './survey.ts'

const NUMBERS = [1, 2, 3] as const
/** As flanneld has them (flannel-compat 4.1). */
const FAMILIES = {
  ipv4: { device: 'flannel.1', bits: 32, vtep: (n: number) => `10.244.${n}.0`, subnetBits: 24, under: 'ip' },
  ipv6: {
    device: 'flannel-v6.1',
    bits: 128,
    vtep: (n: number) => `fd00:244:0:${n}::`,
    subnetBits: 64,
    under: 'ipv6',
  },
} as const
type Family = keyof typeof FAMILIES
const mac = (n: number, family: Family) => `02:00:00:00:0${family === 'ipv4' ? 4 : 6}:0${n}`
const MARK = 0x4000

let segment: Segment
let bad: BadDevice

async function tunnel(host: Host, number: number, family: Family): Promise<void> {
  const { device, bits, vtep, subnetBits, under } = FAMILIES[family]
  const ways = NUMBERS.filter((other) => other !== number).map((other) => {
    const [hop, link] = [vtep(other), mac(other, family)]
    return `ip neigh replace ${hop} lladdr ${link} dev ${device} nud permanent
      bridge fdb append ${link} dev ${device} dst ${segment.host(other)[under]}
      ip route replace ${hop}/${subnetBits} via ${hop} dev ${device} onlink`
  })
  await host.sh(`
    ip link add ${device} address ${mac(number, family)} type vxlan id 1 dstport 8472 local ${host[under]} dev eth0 nolearning
    ip addr add ${vtep(number)}/${bits} dev ${device}; ip link set ${device} up
    ip link add cni0 type bridge 2>/dev/null || true
    ip addr add ${vtep(number).replace(/0?$/, '1')}/${subnetBits} dev cni0; ip link set cni0 up
    ${ways.join('\n')}
  `)
}

beforeAll(async () => {
  segment = await Segment.create(NUMBERS.length, 'dual')
  for (const number of NUMBERS)
    for (const family of ['ipv4', 'ipv6'] as const) await tunnel(segment.host(number), number, family)
  bad = await BadDevice.before(segment, 1)
})
afterAll(async () => {
  bad[Symbol.dispose]()
  await segment[Symbol.asyncDispose]()
})

const ask = (family: Family, peers: readonly number[] = [2, 3], marks: readonly number[] = []) => {
  const { device, vtep } = FAMILIES[family]
  const source = ip(vtep(1))
  const { namespace } = segment.host(1)
  const targets = peers.map((each) => ip(vtep(each)))
  return survey({ device, source, namespace }, targets, marks, AbortSignal.timeout(60_000))
}
const targets = (family: Family, ...peers: readonly number[]) =>
  peers.map((each) => ip(FAMILIES[family].vtep(each)))

describe.each(['ipv4', 'ipv6'] as const)('over %s', (family) => {
  const { device } = FAMILIES[family]

  test('a good device is called good at once, marked packets too', async () => {
    bad.device = 'good'
    const found = await ask(family, [2, 3], [MARK])
    expect(found).toEqual({
      verdict: 'good',
      mark: 0,
      deaf: [],
      answering: targets(family, 2, 3),
      silent: [],
    })
  })

  test('a bad device is found out, and no more once the offload is off', async () => {
    bad.device = 'bad'
    const found = await ask(family)
    expect(found).toMatchObject({ verdict: 'bad', mark: 0, deaf: targets(family, 2, 3) })
    using ethtool = new Ethtool(segment.host(1).namespace)
    ethtool.setTxChecksum(device, false)
    expect(await ask(family, [2, 3], [MARK])).toMatchObject({ verdict: 'good' })
    ethtool.setTxChecksum(device, true)
  }, 30_000)
})

test('peers that answer nothing say nothing', async () => {
  bad.device = 'bad'
  const drop = (host: Host) =>
    host.sh(
      `nft 'table inet wall { chain in { type filter hook input priority 0; iifname "flannel*" drop; }; }'`,
    )
  await Promise.all([drop(segment.host(2)), drop(segment.host(3))])
  expect(await ask('ipv4')).toMatchObject({ verdict: 'unknown', silent: targets('ipv4', 2, 3) })
  await segment.host(3).sh('nft delete table inet wall')
  expect(await ask('ipv4')).toMatchObject({
    verdict: 'bad',
    deaf: targets('ipv4', 3),
    silent: targets('ipv4', 2),
  })
  await segment.host(2).sh('nft delete table inet wall')
}, 30_000)

test('a bad device for marked packets alone is found out by such', async () => {
  bad.device = 'bad'
  bad.isChoosy = true
  // The outer packet inherits the mark, as where kube-proxy's is translated once more.
  await segment.host(1).sh(`nft 'table ip marks { chain out { type filter hook postrouting priority 0
    meta mark & ${MARK} == ${MARK} udp dport 8472 ip dscp set 1; }; }'`)
  expect(await ask('ipv4')).toMatchObject({ verdict: 'good', mark: 0 })
  expect(await ask('ipv4', [2, 3], [MARK])).toMatchObject({ verdict: 'bad', mark: MARK })
  bad.isChoosy = false
}, 30_000)

test('without the device nothing is asked', async () => {
  const { namespace } = segment.host(1)
  const none = { device: 'flannel.9', source: ip('10.244.1.0'), namespace }
  expect(await survey(none, targets('ipv4', 2), [], AbortSignal.timeout(5000))).toBeUndefined()
})
