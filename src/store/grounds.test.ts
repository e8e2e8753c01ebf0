// Which prefixes of this host's links keep a peer's subnet out, and which must not.
import { describe, expect, test } from 'bun:test'
import { ip, prefix } from '../../test/support/values.ts'
import type { Ip } from '../model/ip.ts'
import { parseNetworkConfig } from '../model/net-config.ts'
import { parseAddressWithLength, prefixOf } from '../model/prefix.ts'
import type { Surroundings } from '../model/surroundings.ts'
import { Grounds } from './grounds.ts'

const { ipv4, ipv6 } = parseNetworkConfig(
  '{"Network":"10.3.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:3::/48"}',
)
const PEER = { subnet: prefix('10.3.2.0/24'), publicIp: ip('192.168.0.2'), backendData: undefined }
const PEER6 = { subnet: prefix('fd00:3:0:2::/64'), publicIp: ip('2001:db8::2'), backendData: undefined }
const OWN = { subnet: prefix('10.3.1.0/24'), publicIp: ip('192.168.0.1'), backendData: undefined }

/** `link address/length` each; gateways as they are. */
function around(...texts: string[]): Surroundings {
  const connected = texts.flatMap((text) => {
    const [link = '', address] = text.split(' ')
    const parsed = address === undefined ? undefined : parseAddressWithLength(address)
    return parsed === undefined ? [] : [{ link, ip: parsed.ip, prefix: prefixOf(parsed.ip, parsed.length) }]
  })
  return { connected, gateways: texts.filter((text) => !text.includes(' ')).map((text): Ip => ip(text)) }
}
const objection = (...texts: string[]) =>
  new Grounds(ipv4 ?? expect.unreachable(), OWN, around(...texts)).objection(PEER)

describe('a peer’s subnet is kept out by', () => {
  test.each([
    ['the same prefix of a link', 'docker0 10.3.2.1/24', '10.3.2.0/24 of docker0 on this host is the same'],
    ['a part of it', 'cni0 10.3.2.129/25', '10.3.2.128/25 of cni0 on this host lies in 10.3.2.0/24'],
    ['an address in it', 'lo 10.3.2.9/32', '10.3.2.9/32 of lo on this host lies in 10.3.2.0/24'],
    [
      'this host’s address, on a wider prefix',
      'eth0 10.3.2.9/8',
      "has 10.3.2.9 in it, this host's own address on eth0",
    ],
    ['a gateway', '10.3.2.254', '10.3.2.0/24 has 10.3.2.254 in it, a gateway of this host'],
  ])('%s', (_what, text, reason) => expect(objection(text)).toContain(reason))

  test('this host’s PublicIP', () =>
    expect(
      new Grounds(ipv4 ?? expect.unreachable(), { ...OWN, publicIp: ip('10.3.2.9') }, around()).objection(
        PEER,
      ),
    ).toContain("10.3.2.0/24 has 10.3.2.9 in it, this host's own PublicIP"))

  test('the same in IPv6', () => {
    const said = (...texts: string[]) =>
      new Grounds(ipv6 ?? expect.unreachable(), undefined, around(...texts)).objection(PEER6)
    expect(said('docker0 fd00:3:0:2::1/64')).toContain('fd00:3:0:2::/64 of docker0 on this host is the same')
    expect(said('eth0 fd00:3:0:2::1/32')).toContain("this host's own address on eth0")
    expect(said('fd00:3:0:2::fe')).toContain('a gateway of this host')
    expect(
      said('eth0 fd00::9/16', 'docker0 10.3.2.1/24', 'fd00:9::1', 'docker0 fd00:3:0:22::1/64'),
    ).toBeUndefined()
  })
})

describe('a peer’s subnet is not kept out by', () => {
  test.each([
    ['the bridge of our own pods', 'cni0 10.3.1.1/24'],
    ['our own VXLAN device', 'flannel.1 10.3.1.0/32'],
    ['a bridge elsewhere', 'docker0 172.17.0.1/16'],
    ['a bridge in a subnet that is no peer’s', 'docker0 10.3.9.1/24'],
    ['an underlay that the pod network is a part of', 'eth0 10.200.0.9/8'],
    ['a wider prefix of the pod network', 'eth0 10.3.9.9/16'],
    ['a gateway elsewhere', '10.3.9.254'],
    ['a gateway outside the network', '192.168.0.254'],
  ])('%s', (_what, text) => expect(objection(text)).toBeUndefined())
})
