// subnet.env, byte for byte (flannel-compat 5.1, 9.3 M1–M4).
import { describe, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parsePrefix, type Prefix } from '../model/prefix.ts'
import { formatSubnetFile, parseSubnetFile, readSubnetFile, writeSubnetFile } from './subnet-file.ts'

const prefix = (text: string): Prefix => {
  const parsed = parsePrefix(text)
  if (parsed === undefined) throw new Error(text)
  return parsed
}
const file = {
  ipv4: { network: prefix('10.42.0.0/16'), subnet: prefix('10.42.0.0/24') },
  ipv6: undefined,
  mtuBytes: 1450,
  ipMasq: true,
}

describe('subnet.env', () => {
  test('IPv4', () =>
    expect(formatSubnetFile(file)).toBe(
      'FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n',
    ))

  test('dual stack', () =>
    expect(
      formatSubnetFile({
        ...file,
        ipv6: { network: prefix('2001:cafe:42::/56'), subnet: prefix('2001:cafe:42::/64') },
        ipMasq: false,
      }),
    ).toBe(
      'FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.0.1/24\nFLANNEL_IPV6_NETWORK=2001:cafe:42::/56\nFLANNEL_IPV6_SUBNET=2001:cafe:42::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n',
    ))

  test('is written whole, readable by all whatever the umask, and leaves nothing else behind', () => {
    const folder = mkdtempSync(join(tmpdir(), 'heddle-subnet-'))
    const before = process.umask(0o077)
    try {
      const path = join(folder, 'new', 'subnet.env')
      writeSubnetFile(path, file)
      expect(readFileSync(path, 'utf8')).toBe(formatSubnetFile(file))
      expect(statSync(path).mode & 0o777).toBe(0o644)
      expect(readdirSync(join(folder, 'new'))).toEqual(['subnet.env'])
      expect(readSubnetFile(path)).toEqual({
        subnets: [prefix('10.42.0.0/24')],
        networks: [prefix('10.42.0.0/16')],
      })
    } finally {
      process.umask(before)
      rmSync(folder, { recursive: true })
    }
  })

  test('a missing file tells no previous subnet', () =>
    expect(readSubnetFile('/nonexistent/subnet.env')).toEqual({ subnets: [], networks: [] }))

  test.each([
    ['FLANNEL_SUBNET=10.244.1.1/24\n', ['10.244.1.0/24']],
    ['FLANNEL_SUBNET="10.244.1.1/24"\n', ['10.244.1.0/24']],
    ['FLANNEL_SUBNET=10.244.1.0/24,not-a-cidr\n', ['10.244.1.0/24']],
    ['FLANNEL_SUBNET=10.244.1.0/24,10.244.2.0/24\n', []],
    ['FLANNEL_SUBNET=not-a-cidr\n', []],
    ['FLANNEL_SUBNET=\n', []],
    ['FLANNEL_SUBNET=10.1.1.1/24\nFLANNEL_IPV6_SUBNET=fd00::1/64\n', ['10.1.1.0/24', 'fd00::/64']],
    ['FLANNEL_IPV6_SUBNET=10.1.1.1/24\n', []],
  ])('%j', (text, subnets) => expect(parseSubnetFile(text).subnets).toEqual(subnets.map(prefix)))
})
