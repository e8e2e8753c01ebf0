// Where a conf file's network config differs from the store's, in words; the rest is in test/daemon/conf-file.test.ts.
import { describe, expect, test } from 'bun:test'
import { parseNetworkConfig } from '../model/net-config.ts'
import { differences } from './proposal.ts'

const config = (json: object) =>
  parseNetworkConfig(JSON.stringify({ Network: '10.5.0.0/16', Backend: { Type: 'vxlan' }, ...json }))

describe('network configs differ', () => {
  test('in nothing, though they are written in other words', () => {
    expect(
      differences(config({ SubnetLen: 24, Backend: { type: 'VXLAN' } }), config({ network: '10.5.9.9/16' })),
    ).toEqual([])
    expect(
      differences(config({}), config({ SubnetMin: '10.5.1.0', Backend: { Type: 'vxlan', VNI: null } })),
    ).toEqual([])
  })

  test.each([
    [{ Network: '10.6.0.0/17' }, 'Network is 10.5.0.0/16, in the file 10.6.0.0/17'],
    [{ SubnetLen: 25 }, 'SubnetLen is 24, in the file 25'],
    [{ SubnetMax: '10.5.9.0' }, 'SubnetMax is 10.5.255.0, in the file 10.5.9.0'],
    [{ Backend: { Type: 'host-gw' } }, 'Backend.Type is vxlan, in the file host-gw'],
    [{ Backend: { Type: 'vxlan', mtu: 1400 } }, 'Backend.MTU is not set, in the file 1400'],
    [{ EnableIPv6: true, IPv6Network: 'fd00::/48' }, 'IPv6Network is not set, in the file fd00::/48'],
  ])('by %j', (json, sentence) => expect(differences(config({}), config(json))).toContain(sentence))

  test('by a secret, which is not told', () => {
    const found = differences(
      config({ Backend: { Type: 'vxlan', PSK: 's3cr3t' } }),
      config({ Backend: { Type: 'vxlan', psk: 's3cr3t2' } }),
    )
    expect(found).toEqual(['Backend.PSK is another'])
  })
})
