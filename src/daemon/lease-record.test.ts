// The record of this host's lease: proof where it is whole and this machine's, a warning at most where it isn't.
import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseLease, type Lease } from '../model/lease.ts'
import { LeaseRecords, readRecord, recordFiles } from './lease-record.ts'

const leaseOf = (publicIp: string, createRevision = 7n, key = '10.244.7.0-24'): Lease => {
  const lease = parseLease(key, JSON.stringify({ PublicIP: publicIp }), createRevision)
  if (typeof lease === 'string') throw new Error(lease)
  return lease
}
const LEASE = leaseOf('192.168.0.1')

let stateDir: string
beforeEach(() => {
  stateDir = join(mkdtempSync(join(tmpdir(), 'heddle-record-')), 'state')
})
afterEach(() => rmSync(join(stateDir, '..'), { recursive: true }))
const records = (more: { prefix?: string; subnetFile?: string } = {}) =>
  new LeaseRecords({
    stateDir,
    prefix: '/coreos.com/network',
    subnetFile: '/run/flannel/subnet.env',
    ...more,
  })
const theFile = () => recordFiles(stateDir)[0] ?? expect.unreachable('there is no record')

const leaseOfIPv6 = (publicIpv6: string): Lease => {
  const value = JSON.stringify({ PublicIP: '0.0.0.0', PublicIPv6: publicIpv6 })
  const lease = parseLease('0.0.0.0-0&fd00:5:0:7::-64', value, 7n)
  return typeof lease === 'string' ? expect.unreachable(lease) : lease
}

describe('the record of a lease', () => {
  test('proves that very lease to later runs, and no other', () => {
    expect(records().owns(LEASE, 'c1')).toBe(false)
    records().keep({ lease: LEASE, cluster: 'c1' }, '192.168.0.1')
    const later = records()
    expect(later.owns(LEASE, 'c1')).toBe(true)
    expect(later.owns(LEASE, 'c2')).toBe(false)
    expect(later.owns(leaseOf('192.168.0.1', 8n), 'c1')).toBe(false)
    expect(later.owns(leaseOf('192.168.0.1', 7n, '10.244.8.0-24'), 'c1')).toBe(false)
    // Another host has put its address there since.
    expect(later.owns(leaseOf('192.168.0.9'), 'c1')).toBe(false)
    expect(statSync(theFile()).mode & 0o777).toBe(0o600)
  })

  test('knows the address that is about to be published', () => {
    records().keep({ lease: LEASE, cluster: 'c1' }, '192.168.0.2')
    expect(records().owns(LEASE, 'c1')).toBe(true)
    expect(records().owns(leaseOf('192.168.0.2'), 'c1')).toBe(true)
  })

  test('knows a lease without IPv4 by its IPv6 address', () => {
    records().keep({ lease: leaseOfIPv6('2001:db8::1'), cluster: 'c1' }, '2001:db8::2')
    expect(records().owns(leaseOfIPv6('2001:db8::1'), 'c1')).toBe(true)
    expect(records().owns(leaseOfIPv6('2001:db8::2'), 'c1')).toBe(true)
    expect(records().owns(leaseOfIPv6('2001:db8::9'), 'c1')).toBe(false)
  })

  test('is kept apart by store, prefix and subnet.env', () => {
    const all = [
      [records(), 'c1'],
      [records(), 'c2'],
      [records({ prefix: '/other' }), 'c1'],
      [records({ subnetFile: '/run/other.env' }), 'c1'],
    ] as const
    for (const [i, [each, cluster]] of all.entries())
      each.keep({ lease: leaseOf('192.168.0.1', BigInt(i)), cluster }, '192.168.0.1')
    expect(recordFiles(stateDir)).toHaveLength(4)
    for (const [i, [each, cluster]] of all.entries())
      expect(each.owns(leaseOf('192.168.0.1', BigInt(i)), cluster)).toBe(true)
  })

  test('is not written when it is as it was', () => {
    records().keep({ lease: LEASE, cluster: 'c1' }, '192.168.0.1')
    const before = statSync(theFile())
    records().keep({ lease: LEASE, cluster: 'c1' }, '192.168.0.1')
    expect(statSync(theFile()).ino).toBe(before.ino)
  })

  test.each([
    ['no JSON', () => '{"format":1,'],
    ['no record', () => '{"format":2}'],
    [
      'another machine’s',
      (text: string) => text.replace(/"machine": "\w+"/, '"machine": "0123456789abcdef"'),
    ],
  ])('that is %s proves nothing, and is written anew', (_what, spoil) => {
    records().keep({ lease: LEASE, cluster: 'c1' }, '192.168.0.1')
    const text = readFileSync(theFile(), 'utf8')
    writeFileSync(theFile(), spoil(text))
    const later = records()
    expect(later.owns(LEASE, 'c1')).toBe(false)
    later.keep({ lease: LEASE, cluster: 'c1' }, '192.168.0.1')
    expect(readFileSync(theFile(), 'utf8')).toBe(text)
  })

  test('that can’t be read or written is no more than a warning', () => {
    // A folder where the file should be, and a file where the folder should be.
    records().keep({ lease: LEASE, cluster: 'c1' }, '192.168.0.1')
    const path = theFile()
    rmSync(path)
    mkdirSync(path)
    expect(typeof readRecord(path)).toBe('string')
    const later = records()
    expect(later.owns(LEASE, 'c1')).toBe(false)
    expect(() => later.keep({ lease: LEASE, cluster: 'c1' }, '192.168.0.1')).not.toThrow()
    rmSync(stateDir, { recursive: true })
    writeFileSync(stateDir, '')
    chmodSync(stateDir, 0o444)
    expect(() => records().keep({ lease: LEASE, cluster: 'c1' }, '192.168.0.1')).not.toThrow()
    expect(recordFiles(stateDir)).toEqual([])
  })
})
