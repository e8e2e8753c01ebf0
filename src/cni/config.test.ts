// From the network's config and subnet.env to the delegate's config: upstream's cases (flannel-compat 9.5) and its
// refusals.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { thrown } from '../../test/support/values.ts'
import { delegateConfig } from './delegate-config.ts'
import { field, formatSorted, parseObject, type JsonObject, type JsonValue } from './json.ts'
import { parseNetConf } from './net-conf.ts'
import { parseSubnetEnv, readSubnetEnv } from './subnet-env.ts'

const MTU = 'FLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n'
const V4 = `\nFLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.17.1/24\n${MTU}`
const V4_TWO = `\nFLANNEL_NETWORK=10.1.0.0/16,192.168.0.0/16\nFLANNEL_SUBNET=10.1.17.1/24\n${MTU}`
const V6 = `\nFLANNEL_IPV6_NETWORK=fc00::/48\nFLANNEL_IPV6_SUBNET=fc00::1/64\n${MTU}`
const DUAL = `${V4}FLANNEL_IPV6_NETWORK=fc00::/48\nFLANNEL_IPV6_SUBNET=fc00::1/64\n`

const CONF = { name: 'cni-flannel', type: 'flannel' }
const build = (config: JsonObject, env: string): JsonObject =>
  delegateConfig(parseNetConf({ ...CONF, ...config }), parseSubnetEnv(env, 'subnet.env'))
const ranges4 = [[{ subnet: '10.1.17.0/24' }]]
const ranges6 = [[{ subnet: 'fc00::/64' }]]

describe("the delegate's config", () => {
  test.each([
    ['P-1 IPv4', V4, ranges4, ['10.1.0.0/16']],
    ['P-2 two networks', V4_TWO, ranges4, ['10.1.0.0/16', '192.168.0.0/16']],
    ['P-3 IPv6', V6, ranges6, ['fc00::/48']],
    ['P-4 dual stack', DUAL, [...ranges4, ...ranges6], ['10.1.0.0/16', 'fc00::/48']],
  ])('%s', (_name, env, ranges, networks) => {
    expect(build({}, env)).toEqual({
      ipMasq: false,
      ipam: { routes: networks.map((dst) => ({ dst })), ranges, type: 'host-local' },
      isGateway: true,
      mtu: 1472,
      name: 'cni-flannel',
      type: 'bridge',
    })
  })

  const routes = [{ dst: '10.96.0.0/12' }, { dst: '192.168.244.0/24', gw: '10.1.17.20' }]
  test.each([
    ['P-17 IPv4', V4, ranges4, ['10.1.0.0/16'], 'my-ipam'],
    ['P-18 two networks', V4_TWO, ranges4, ['10.1.0.0/16', '192.168.0.0/16'], 'my-ipam'],
    ['P-19 IPv6', V6, ranges6, ['fc00::/48'], 'my-ipam'],
    ['P-20 dual stack', DUAL, [...ranges4, ...ranges6], ['10.1.0.0/16', 'fc00::/48'], 'my-ipam'],
    ['P-21 IPv4 without type', V4, ranges4, ['10.1.0.0/16'], undefined],
    ['P-22 IPv6 without type', V6, ranges6, ['fc00::/48'], undefined],
    ['P-23 dual stack without type', DUAL, [...ranges4, ...ranges6], ['10.1.0.0/16', 'fc00::/48'], undefined],
  ])('%s: keeps what ipam has and adds the networks', (_name, env, ranges, networks, type) => {
    const given = { 'unknown-param': 'unknown-value', routes, ...(type === undefined ? {} : { type }) }
    expect(build({ ipam: given }, env)['ipam']).toEqual({
      type: type ?? 'host-local',
      'unknown-param': 'unknown-value',
      routes: [...routes, ...networks.map((dst) => ({ dst }))],
      ranges,
    })
  })

  test("of upstream's shipped conflist is its to the byte", () => {
    const delegate = { hairpinMode: true, isDefaultGateway: true }
    const env =
      'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n'
    expect(formatSorted(build({ name: 'cbr0', cniVersion: '0.3.1', delegate }, env))).toBe(
      '{"cniVersion":"0.3.1","hairpinMode":true,"ipMasq":false,"ipam":{"ranges":[[{"subnet":"10.244.1.0/24"}]],"routes":[{"dst":"10.244.0.0/16"}],"type":"host-local"},"isDefaultGateway":true,"isGateway":true,"mtu":1450,"name":"cbr0","type":"bridge"}',
    )
  })

  test('leaves to the delegate what it says itself', () => {
    const delegate = { ipMasq: true, mtu: 1400, isGateway: false, bridge: 'br7' }
    expect(build({ delegate }, V4)).toMatchObject(delegate)
    expect(build({}, V4.replace('IPMASQ=true', 'IPMASQ=false'))['ipMasq']).toBe(true)
    const foreign = build({ delegate: { type: 'macvlan', master: 'eth0' } }, V4)
    expect(foreign).toMatchObject({ type: 'macvlan', master: 'eth0' })
    expect(foreign).not.toHaveProperty('isGateway')
    const runtimeConfig = { mac: '02:00:00:00:00:01' }
    expect(build({ runtimeConfig, cniVersion: '' }, V4)).toMatchObject({ runtimeConfig })
    expect(build({ cniVersion: '' }, V4)).not.toHaveProperty('cniVersion')
  })

  test.each([
    ['a list of routes that is none', { routes: 'x' }, 'must be a list'],
    ['a route without a network', { routes: [{ gw: '10.0.0.1' }] }, 'dst'],
    ['a bad gateway', { routes: [{ dst: '10.0.0.0/8', gw: 'x' }] }, 'gw'],
    ['a route that is none', { routes: [7] }, 'object'],
  ])('refuses %s', (_name, ipam, message) => {
    expect(() => build({ ipam }, V4)).toThrow(message)
  })
})

describe("the network's config", () => {
  test('P-5 to P-7 names its files', () => {
    const conf = parseNetConf({ ...CONF, subnetFile: '/tmp/subnet.env', dataDir: '/tmp/data' })
    expect(conf).toMatchObject({ ...CONF, subnetFile: '/tmp/subnet.env', dataDir: '/tmp/data' })
  })

  test('P-8 to P-10 has defaults for them', () => {
    expect(parseNetConf(CONF)).toMatchObject({
      ...CONF,
      subnetFile: '/run/flannel/subnet.env',
      dataDir: '/var/lib/cni/flannel',
    })
  })

  test('has keys of any case, as Go reads them', () => {
    expect(parseNetConf({ ...CONF, SubnetFILE: '/a', DATADIR: '/b' })).toMatchObject({
      subnetFile: '/a',
      dataDir: '/b',
    })
    expect(field({ a: 1, A: 2 }, 'A')).toBe(2)
    expect(field({ a: null }, 'a')).toBeUndefined()
  })

  test.each([
    [{ delegate: { type: 7 } }, "must have (string) 'type' field"],
    [{ delegate: { name: 'x' } }, "must not have 'name' field"],
    [{ delegate: { ipam: {} } }, "must not have 'ipam' field"],
    [{ delegate: 'x' }, 'delegate must be an object'],
    [{ ipam: [] }, 'ipam must be an object'],
    [{ subnetFile: 7 }, 'subnetFile must be a string'],
  ])('%j is refused', (config, message) => {
    expect(thrown(() => parseNetConf({ ...CONF, ...(config as JsonObject) }))).toMatchObject({
      cniCode: 7,
      message: expect.stringContaining(message),
    })
  })
})

describe('subnet.env', () => {
  test('P-11 to P-13 is read', () => {
    expect(parseSubnetEnv(DUAL, 'f') as unknown).toEqual({
      networks: { ipv4: ['10.1.0.0/16'], ipv6: ['fc00::/48'] },
      subnets: { ipv4: '10.1.17.0/24', ipv6: 'fc00::/64' },
      mtuBytes: 1472,
      ipMasq: true,
    })
    expect(parseSubnetEnv(V4, 'f').networks.ipv6).toEqual([])
    expect(parseSubnetEnv(V6, 'f').subnets.ipv4).toBeUndefined()
    const twice = V4.replace('10.1.0.0/16', '10.1.2.3/16,10.1.0.0/16')
    expect(parseSubnetEnv(twice, 'f').networks.ipv4 as unknown).toEqual(['10.1.0.0/16'])
  })

  test('P-14 to P-16 says what is missing', () => {
    const missing = (text: string) => () => parseSubnetEnv(text, '/x/subnet.env')
    expect(missing('foo=bar')).toThrow(
      '/x/subnet.env is missing FLANNEL_NETWORK, FLANNEL_IPV6_NETWORK, FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ',
    )
    expect(missing(`FLANNEL_NETWORK=10.1.0.0/16\n${MTU}`)).toThrow(
      'is missing FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET',
    )
    expect(missing('')).toThrow('is missing FLANNEL_NETWORK')
  })

  test.each([
    [V4.replace('FLANNEL_MTU=1472', 'FLANNEL_MTU'), 'subnet.env:4: FLANNEL_MTU has no value'],
    [V4.replace('1472', '1472x'), 'FLANNEL_MTU must be a number'],
    [V4.replace('10.1.0.0/16', '10.1.0.0'), 'FLANNEL_NETWORK: invalid CIDR address: 10.1.0.0'],
    [V4.replace('10.1.0.0/16', 'fc00::/48'), 'FLANNEL_NETWORK: invalid CIDR address: fc00::/48'],
    [V4.replace('10.1.17.1/24', '10.1.17.1/24,10.1.18.1/24'), 'must be one subnet'],
  ])('%j is refused', (text, message) => {
    expect(() => parseSubnetEnv(text, 'subnet.env')).toThrow(message)
  })

  test('weak point 55: that is not there is a matter of trying again, with a hint', () => {
    expect(thrown(() => readSubnetEnv('/nowhere/subnet.env'))).toMatchObject({
      cniCode: 11,
      message: expect.stringMatching(
        /^failed to load flannel 'subnet.env' file: .*\/nowhere\/subnet.env.* Check the flannel pod log for this node\.$/,
      ),
      details: expect.stringContaining('flanneld writes /nowhere/subnet.env once it has a lease'),
    })
  })
})

test('text that is no object is none', () => {
  expect(parseObject('{"a":1}')).toEqual({ a: 1 })
  for (const text of ['', '[]', '7', 'null', '{"a":']) expect(parseObject(text)).toBeUndefined()
})

test('JSON is written with sorted keys, and reads back the same', () => {
  expect(formatSorted({ b: [1, { d: '<&>', c: null }], a: true })).toBe(
    '{"a":true,"b":[1,{"c":null,"d":"\\u003c\\u0026\\u003e"}]}',
  )
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = formatSorted(value as JsonValue)
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      expect(formatSorted(JSON.parse(text) as JsonValue)).toBe(text)
    }),
  )
})
