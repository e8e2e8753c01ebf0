// Kernel settings are those of the namespace, and of no other.
import { expect, test } from 'bun:test'
import { kernel } from '../../test/support/kernel.ts'
import { thrown } from '../../test/support/values.ts'
import { readSysctl, writeSysctl } from './sysctl.ts'

test('a setting is changed in one namespace only', async () => {
  await using a = await kernel()
  await using b = await kernel()
  writeSysctl('net/ipv4/ip_forward', 0, a.namespace)
  writeSysctl('net/ipv4/ip_forward', 1, b.namespace)
  expect(readSysctl('net/ipv4/ip_forward', a.namespace)).toBe('0')
  expect(readSysctl('net/ipv4/ip_forward', b.namespace)).toBe('1')
})

test('a link name with a dot is one part of the name', async () => {
  await using host = await kernel()
  await host.sh('ip link add br.7 type bridge')
  writeSysctl('net/ipv4/conf/br.7/rp_filter', 2, host.namespace)
  expect(readSysctl('net/ipv4/conf/br.7/rp_filter', host.namespace)).toBe('2')
})

test('unknown names and ways out of /proc/sys are refused', () => {
  expect(thrown(() => readSysctl('net/nonsense'))).toMatchObject({ code: 'ENOENT' })
  expect(() => writeSysctl('../../etc/passwd', 'x')).toThrow('not the name of a kernel setting')
})
