// A conf file as a JSON object: options by their flags' names, etcd's together, and the network config for the store.
import { describe, expect, test } from 'bun:test'
import { parseNetworkConfig } from '../../../model/net-config.ts'
import { fromJson } from './from-json.ts'
import { Mistake } from './mistake.ts'
import { BACKEND_KEYS, confName, NETWORK_KEYS } from './network-keys.ts'

const FILE = '/etc/flannel/flanneld.conf'
const read = (value: object) => fromJson(FILE, JSON.stringify(value))
const valuesOf = (value: object) =>
  Object.fromEntries([...read(value).settings].map(([name, setting]) => [name, setting.value]))
const reasonOf = (value: object): string => {
  try {
    read(value)
    return 'not refused'
  } catch (error) {
    if (error instanceof Mistake) return error.message
    throw error
  }
}
const NETWORK = { network: '10.5.0.0/16', backend: { type: 'vxlan' } }

describe('options', () => {
  test('have the names of the flags, in any spelling of them', () => {
    for (const name of ['ip-masq', 'ipMasq', 'IP_MASQ'])
      expect(valuesOf({ [name]: true })).toEqual({ 'ip-masq': true })
    expect(valuesOf({ log_dir: '/x' })).toEqual({ 'log-dir': '/x' })
  })

  test('of each type', () => {
    expect(
      valuesOf({
        v: 2,
        'healthz-port': 8471,
        'subnet-file': '/x',
        'store-reset-grace': '1m',
        iface: ['a', 'b'],
      }),
    ).toEqual({ v: 2, 'healthz-port': 8471, 'subnet-file': '/x', 'store-reset-grace': 60, iface: ['a', 'b'] })
    expect(valuesOf({ iface: 'a' })).toEqual({ iface: ['a'] })
  })

  test('of etcd come together, by the flags’ names or short ones', () => {
    const etcd = {
      endpoints: ['a', 'b'],
      prefix: '/p',
      caFile: '1',
      certFile: '2',
      keyfile: '3',
      username: 'u',
    }
    const short = { endpoints: 'a,b', prefix: '/p', ca: '1', cert: '2', key: '3', user: 'u' }
    const expected = {
      'etcd-endpoints': 'a,b',
      'etcd-prefix': '/p',
      'etcd-cafile': '1',
      'etcd-certfile': '2',
      'etcd-keyfile': '3',
      'etcd-username': 'u',
    }
    expect(valuesOf({ etcd })).toEqual(expected)
    expect(valuesOf({ etcd: short })).toEqual(expected)
    expect(valuesOf({ etcdEndpoints: ['a', 'b'] })).toEqual({ 'etcd-endpoints': 'a,b' })
  })

  test('know their place', () => {
    const { settings } = fromJson(FILE, '{\n  "etcd": {\n    "prefix": "/p" } }')
    const place = { file: FILE, line: 3, column: 5 }
    expect(settings.get('etcd-prefix')?.origin).toEqual({ kind: 'file', name: 'etcd.prefix', place })
  })

  test.each([
    [{ 'ip-masq': 1 }, 'ip-masq: want true or false, not a number'],
    [{ v: '2' }, 'v: want a whole number, not a text'],
    [{ v: 1.5 }, 'v: "1.5" is invalid: want a whole number'],
    [{ v: 1e21 }, 'v: "1e+21" is invalid: want a whole number'],
    [
      { 'store-reset-grace': '10' },
      'store-reset-grace: "10" is invalid: want a time such as 90s, 10m or 1h30m',
    ],
    [{ 'etcd-prefix': ['/a'] }, 'etcd-prefix: want text, not an array'],
    [{ etcd: 'http://a' }, 'etcd: want an object, not a text'],
    [{ etcd: { password: 5 } }, 'etcd.password: want text, not a number'],
    [{ etcd: { pasword: 'x' } }, 'there is no etcd.pasword; did you mean etcd.password?'],
    [{ etcd: { ca: '1', caFile: '2' } }, 'etcd.caFile is given twice'],
    [{ subnetLne: 24 }, 'there is no subnetLne; did you mean subnetLen?'],
    [{ banana: 24 }, 'there is no banana; see docs/options.md'],
    [{ 'config-file': '/x' }, "config-file can't be given in a file: it is a flag or environment only"],
    [{ IFACE: 'a', iface: 'b' }, 'iface is given twice'],
  ])('%j is refused with a sentence', (value, sentence) => expect(reasonOf(value)).toBe(sentence))
})

describe('the network config', () => {
  test('is published in upstream’s spelling and order, only what is given', () => {
    const { network } = read({
      mtu: 1400,
      backend: { directRouting: true, vni: 7, TYPE: 'vxlan' },
      'subnet-len': 25,
      network: '10.5.0.0/16',
      enableIPv4: true,
    })
    const text =
      '{"Network":"10.5.0.0/16","SubnetLen":25,"EnableIPv4":true,"Backend":{"Type":"vxlan","VNI":7,"MTU":1400,"DirectRouting":true}}'
    expect(network?.text).toBe(text)
    expect(network?.config).toEqual(parseNetworkConfig(text))
    expect(read({ iface: 'a' })).not.toHaveProperty('network')
  })

  test('tells each key with its place, and which are secret', () => {
    const { network } = read({ ...NETWORK, backend: { type: 'vxlan', psk: 's3cr3t' } })
    expect(network?.keys).toEqual([
      { name: 'network', value: '10.5.0.0/16', place: { file: FILE, line: 1, column: 2 }, isSecret: false },
      { name: 'backend.type', value: 'vxlan', place: { file: FILE, line: 1, column: 37 }, isSecret: false },
      { name: 'backend.psk', value: 's3cr3t', place: { file: FILE, line: 1, column: 52 }, isSecret: true },
    ])
  })

  test('of IPv6 is data, and without enableIPv6 it is told that it has no effect', () => {
    const { network, notes } = read({ ...NETWORK, ipv6Network: 'fd00::/48' })
    expect(network?.text).toContain('"IPv6Network":"fd00::/48"')
    expect(notes).toEqual([
      { level: 'warning', text: `${FILE}:1:53: ipv6Network has no effect: enableIPv6 is not true` },
    ])
  })

  test.each([
    [{ ...NETWORK, backend: 'vxlan' }, 'backend: want an object, not a text'],
    [{ ...NETWORK, backend: { tpye: 'vxlan' } }, 'there is no backend.tpye; did you mean backend.type?'],
    [{ ...NETWORK, subnetLen: '24' }, 'SubnetLen must be a number of bits, not "24"'],
    [{ ...NETWORK, mtu: 9 }, 'Backend.MTU must be at least 138'],
    [{ network: '10.5.0.0/16' }, 'there is no back end of type "udp"'],
    [{ subnetLen: 24, backend: { type: 'vxlan' } }, 'please define a correct Network parameter'],
    [{ mtu: 1400 }, 'mtu is an option of the back end: want backend.type too'],
    [
      { ...NETWORK, backend: { type: 'host-gw', mtu: 1400 } },
      "the host-gw back end takes the interface's MTU",
    ],
  ])('%j is refused with a sentence', (value, sentence) => expect(reasonOf(value)).toContain(sentence))

  test('names each key as its file does', () => {
    const names = [...NETWORK_KEYS.map(([key]) => key), ...BACKEND_KEYS].map(confName)
    expect(names).toContainValues([
      'network',
      'enableIPv4',
      'ipv6SubnetLen',
      'vni',
      'espProposal',
      'directRouting',
    ])
    expect(names.filter((name) => !/^[a-z]/.test(name))).toEqual([])
  })
})
