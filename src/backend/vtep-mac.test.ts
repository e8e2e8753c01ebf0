// Which MAC a VTEP gets.
import { expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { ip, mac } from '../../test/support/values.ts'
import { isMulticastMac } from '../model/mac.ts'
import { vtepMac, type VtepMacSources } from './vtep-mac.ts'

const host: VtepMacSources = {
  device: undefined,
  lease: undefined,
  machineId: '0123456789abcdef0123456789abcdef\n',
  address: ip('192.168.0.1'),
  vni: 1,
  family: 'ipv4',
}

test('the device’s own comes first, then that of our lease', () => {
  const device = mac('0a:00:00:00:00:01')
  const lease = mac('0a:00:00:00:00:02')
  expect(vtepMac({ ...host, device, lease })).toBe(device)
  expect(vtepMac({ ...host, lease })).toBe(lease)
})

test('one that no device can have is passed over', () => {
  const lease = mac('0a:00:00:00:00:02')
  expect(vtepMac({ ...host, device: mac('00:00:00:00:00:00'), lease })).toBe(lease)
  expect(vtepMac({ ...host, lease: mac('01:00:5e:00:00:01') })).toBe(vtepMac(host))
})

test('else it is derived, always the same, locally administered and unicast', () => {
  expect(vtepMac(host)).toBe(vtepMac({ ...host, machineId: host.machineId.trim() }))
  expect(parseInt(vtepMac(host).slice(0, 2), 16) & 2).toBe(2)
  fc.assert(
    fc.property(fc.string(), (machineId) =>
      expect(isMulticastMac(vtepMac({ ...host, machineId }))).toBe(false),
    ),
  )
})

test('cloned machines, VNIs and families differ', () => {
  const macs = [
    vtepMac(host),
    vtepMac({ ...host, machineId: 'another' }),
    vtepMac({ ...host, address: ip('192.168.0.2') }),
    vtepMac({ ...host, vni: 2 }),
    vtepMac({ ...host, family: 'ipv6' }),
  ]
  expect(new Set(macs).size).toBe(macs.length)
})
