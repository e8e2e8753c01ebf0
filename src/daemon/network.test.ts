// What of a changed network config is put in force at once, and what is refused.
import { describe, expect, test } from 'bun:test'
import { leaseOf } from '../model/lease.ts'
import { parseNetworkConfig } from '../model/net-config.ts'
import { parsePrefix } from '../model/prefix.ts'
import { judge } from './network.ts'

const CONFIG = { Network: '10.5.0.0/16', SubnetLen: 24, Backend: { Type: 'vxlan', VNI: 1 } }
const subnet = parsePrefix('10.5.7.0/24') ?? expect.unreachable()
const attributes = { backendType: 'vxlan', backendData: {}, backendV6Data: undefined }
const own = leaseOf(subnet, undefined, { publicIp: undefined, publicIpv6: undefined, ...attributes }, 7n)
const judged = (changes: object) =>
  judge(
    parseNetworkConfig(JSON.stringify(CONFIG)),
    parseNetworkConfig(JSON.stringify({ ...CONFIG, ...changes })),
    own,
  )

describe('a changed network config', () => {
  test('that says the same is no change', () => {
    expect(judged({})).toEqual({ kind: 'same' })
    expect(judged({ SubnetLen: 0 })).toEqual({ kind: 'same' })
  })

  test.each([
    [{ Backend: { Type: 'vxlan', VNI: 1, MTU: 1300 } }, 'Backend.MTU 1300'],
    [{ Backend: { Type: 'vxlan', VNI: 1, DirectRouting: true } }, 'Backend.DirectRouting true'],
    [{ Backend: { Type: 'vxlan', VNI: 1, Port: 4789 } }, 'Backend.Port 4789'],
    [{ Backend: { Type: 'vxlan' } }, 'Backend.VNI by default'],
    [{ EnableNFTables: true }, 'EnableNFTables true'],
    [{ SubnetMin: '10.5.9.0' }, 'SubnetMin 10.5.9.0, SubnetMax 10.5.255.0'],
  ])('%j is put in force', (changes, what) =>
    expect(judged(changes)).toEqual({ kind: 'apply', what: [what], kept: [] }),
  )

  test('leaves the leases there are as long as they were', () => {
    const judgement = judged({ SubnetLen: 25 })
    expect(judgement).toMatchObject({
      kind: 'apply',
      kept: ['this host keeps its 10.5.7.0/24; only new leases are a /25'],
    })
  })

  test.each([
    [{ Network: '10.6.0.0/16' }, 'Network is 10.6.0.0/16 now'],
    [{ Network: '10.5.0.0/17' }, 'Network is 10.5.0.0/17 now'],
    [{ EnableIPv6: true, IPv6Network: 'fd00::/48' }, 'IPv6Network is fd00::/48 now'],
    [{ EnableIPv4: false, EnableIPv6: true, IPv6Network: 'fd00::/48' }, 'Network is switched off now'],
    [{ Backend: { Type: 'host-gw' } }, 'Backend.Type is host-gw now'],
    [{ Network: '10.6.0.0/16', Backend: { Type: 'vxlan', MTU: 1300 } }, 'Network is 10.6.0.0/16 now'],
  ])('%j is refused whole', (changes, reason) => {
    const judgement = judged(changes)
    expect(judgement).toMatchObject({ kind: 'refuse', reason: expect.stringContaining(reason) })
  })

  test('with both families is judged for each', () => {
    const dual = { ...CONFIG, EnableIPv6: true, IPv6Network: 'fd00:5::/48' }
    const parse = (config: object) => parseNetworkConfig(JSON.stringify(config))
    const own6 = leaseOf(
      subnet,
      parsePrefix('fd00:5:0:7::/64'),
      { publicIp: undefined, publicIpv6: undefined, ...attributes },
      7n,
    )
    const judgedDual = (changes: object) => judge(parse(dual), parse({ ...dual, ...changes }), own6)
    expect(judgedDual({})).toEqual({ kind: 'same' })
    expect(judgedDual({ IPv6SubnetLen: 80, SubnetLen: 25 })).toMatchObject({
      kind: 'apply',
      kept: [
        'this host keeps its 10.5.7.0/24; only new leases are a /25',
        'this host keeps its fd00:5:0:7::/64; only new leases are a /80',
      ],
    })
    for (const [changes, reason] of [
      [{ EnableIPv6: false }, 'IPv6Network is switched off now'],
      [{ EnableIPv4: false }, 'Network is switched off now'],
      [{ IPv6Network: 'fd00:6::/48' }, 'IPv6Network is fd00:6::/48 now'],
    ] as const)
      expect(judgedDual(changes)).toMatchObject({ kind: 'refuse', reason: expect.stringContaining(reason) })
  })
})
