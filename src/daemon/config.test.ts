// The network config that this build can use, and sentences about those it can't.
import { describe, expect, test } from 'bun:test'
import { parseNetworkConfig } from '../model/net-config.ts'
import { usable } from './config.ts'

const use = (json: object) => usable(parseNetworkConfig(JSON.stringify(json)))

describe('a network config', () => {
  test.each(['vxlan', 'VXLAN', 'host-gw'])('with the back end %s is usable', (Type) => {
    const found = use({ Network: '10.5.0.0/16', Backend: { Type } })
    expect(found).toMatchObject({ backend: { type: Type.toLowerCase() } })
  })

  test.each([
    [{ Network: '10.5.0.0/16' }, '"udp"'],
    [{ Network: '10.5.0.0/16', Backend: {} }, '""'],
    [{ Network: '10.5.0.0/16', Backend: { Type: 'wireguard' } }, 'wireguard'],
    [{ Network: '10.5.0.0/16', Backend: { Type: 'vxlan', VNI: '1' } }, 'VNI'],
    [{ Network: '10.5.0.0/16', Backend: { Type: 'vxlan', MTU: 9 } }, 'MTU'],
  ])('%j is refused by name', (json, word) => expect(use(json)).toContain(word))

  test.each([
    { Network: '10.5.0.0/16', EnableIPv6: true, IPv6Network: 'fd00::/48' },
    { EnableIPv4: false, EnableIPv6: true, IPv6Network: 'fd00::/48' },
  ])('with IPv6 is usable: %j', (families) => {
    for (const Type of ['vxlan', 'host-gw'])
      expect(use({ ...families, Backend: { Type } })).toMatchObject({
        config: { ipv6: { network: 'fd00::/48' } },
      })
  })
})
