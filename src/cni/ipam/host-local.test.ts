// The built-in IPAM beside the stock host-local plugin, on the same directory.
import { describe, expect, test } from 'bun:test'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { thrown } from '../../../test/support/values.ts'
import type { JsonObject } from '../json.ts'
import { give, takeBack } from './host-local.ts'

const HOST_LOCAL = '/usr/lib/cni/host-local'
const SUBNET = '10.1.2.0/28'

function network(ranges: readonly JsonObject[][] = [[{ subnet: SUBNET }]]) {
  const dataDir = mkdtempSync(join(tmpdir(), 'heddle-ipam-'))
  const config = { cniVersion: '1.0.0', name: 'net', ipam: { type: 'host-local', dataDir, ranges } }
  const pod = (containerId: string, ifname = 'eth0', args: [string, string][] = []) => ({
    containerId,
    ifname,
    args: new Map(args),
  })
  const stock = (command: 'ADD' | 'DEL', containerId: string, ifname = 'eth0') => {
    const { status, stdout } = spawnSync(HOST_LOCAL, [], {
      input: JSON.stringify(config),
      encoding: 'utf8',
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: containerId,
        CNI_IFNAME: ifname,
        CNI_NETNS: '/proc/self/ns/net',
        CNI_PATH: '/usr/lib/cni',
      },
    })
    return { status, stdout }
  }
  return {
    config,
    directory: join(dataDir, 'net'),
    files: () =>
      readdirSync(join(dataDir, 'net'))
        .filter((name) => /^[\d.]+$|:/.test(name))
        .sort(),
    give: (...p: Parameters<typeof pod>): string[] => give(config, pod(...p)).map(({ ip }) => ip),
    takeBack: (...p: Parameters<typeof pod>) => takeBack(config, pod(...p)),
    stockGives: (id: string, ifname?: string): string[] => {
      const { stdout, status } = stock('ADD', id, ifname)
      if (status !== 0) throw new Error(stdout)
      const { ips } = JSON.parse(stdout) as { ips: { address: string }[] }
      return ips.map(({ address }) => address.split('/')[0] ?? '')
    },
    stockTakesBack: (id: string, ifname?: string) => expect(stock('DEL', id, ifname).status).toBe(0),
    [Symbol.dispose]: () => rmSync(dataDir, { recursive: true }),
  }
}

describe('addresses', () => {
  test('are given round robin with the gateway of their range, and kept as host-local keeps them', () => {
    using net = network([[{ subnet: SUBNET }], [{ subnet: 'fd00:1::/64' }]])
    expect(give(net.config, { containerId: 'a', ifname: 'eth0', args: new Map() }) as unknown).toEqual([
      { ip: '10.1.2.2', length: 28, gateway: '10.1.2.1' },
      { ip: 'fd00:1::2', length: 64, gateway: 'fd00:1::1' },
    ])
    expect(readFileSync(join(net.directory, '10.1.2.2'), 'utf8')).toBe('a\r\neth0')
    expect(readFileSync(join(net.directory, 'last_reserved_ip.1'), 'utf8')).toBe('fd00:1::2')
    net.takeBack('a')
    net.takeBack('a')
    expect(net.files()).toEqual([])
    expect(net.give('b')).toEqual(['10.1.2.3', 'fd00:1::3'])
  })

  test('are for one interface: another one of the container has its own', () => {
    using net = network()
    expect(net.give('a')).toEqual(['10.1.2.2'])
    expect(net.give('a', 'net1')).toEqual(['10.1.2.3'])
    expect(thrown(() => net.give('a'))).toMatchObject({
      message: '10.1.2.2 has been allocated to a, duplicate allocation is not allowed',
    })
    net.takeBack('a')
    expect(net.files()).toEqual(['10.1.2.3'])
  })

  test('run out, and then nothing is given, in no family', () => {
    using net = network([[{ subnet: 'fd00:1::/64' }], [{ subnet: '10.1.2.0/30' }]])
    expect(net.give('a')).toEqual(['fd00:1::2', '10.1.2.2'])
    expect(() => net.give('b')).toThrow('no IP addresses available in range set: 10.1.2.1-10.1.2.2')
    expect(net.files()).toEqual(['10.1.2.2', 'fd00:1::2'])
  })

  test('may be asked for by name', () => {
    using net = network()
    expect(net.give('a', 'eth0', [['IP', '10.1.2.9']])).toEqual(['10.1.2.9'])
    const ask = (text: string) => thrown(() => net.give('b', 'eth0', [['IP', text]]))
    expect(ask('10.1.2.9')).toMatchObject({ message: expect.stringContaining('is not available') })
    expect(ask('10.1.2.1')).toMatchObject({ message: expect.stringContaining('gateway') })
    expect(ask('10.9.9.9')).toMatchObject({
      message: expect.stringContaining("none of the network's ranges"),
    })
    expect(ask('x')).toMatchObject({ message: expect.stringContaining("can't be read") })
    const runtimeConfig = { ips: ['10.1.2.7/28'] }
    const wish = { containerId: 'c', ifname: 'eth0', args: new Map<string, string>() }
    expect(give({ ...net.config, runtimeConfig }, wish)[0]?.ip as string).toBe('10.1.2.7')
    expect(net.files()).toEqual(['10.1.2.7', '10.1.2.9'])
  })

  test('that nobody owns, left by a call that was killed, are free', () => {
    using net = network([[{ subnet: '10.1.2.0/30' }]])
    net.give('a')
    writeFileSync(join(net.directory, '10.1.2.2'), '')
    expect(net.give('b')).toEqual(['10.1.2.2'])
  })

  test('of a container in the old form are taken back with it', () => {
    using net = network()
    net.give('a')
    writeFileSync(join(net.directory, '10.1.2.8'), 'old')
    net.takeBack('old')
    expect(net.files()).toEqual(['10.1.2.2'])
  })
})

describe('beside the stock host-local', () => {
  test('both give in turn, never the same, and take back what the other gave', () => {
    using net = network()
    const given = ['a', 'b', 'c', 'd', 'e', 'f'].map((id, i) =>
      i % 2 === 0 ? net.stockGives(id) : net.give(id),
    )
    expect(given.flat()).toEqual(['2', '3', '4', '5', '6', '7'].map((n) => `10.1.2.${n}`))
    for (const [i, id] of ['a', 'b', 'c', 'd', 'e', 'f'].entries())
      if (i % 2 === 0) net.takeBack(id)
      else net.stockTakesBack(id)
    expect(net.files()).toEqual([])
    expect(net.stockGives('g')).toEqual(['10.1.2.8'])
    expect(net.give('h')).toEqual(['10.1.2.9'])
    expect(() => net.stockGives('h')).toThrow('duplicate allocation')
    expect(() => net.give('g')).toThrow('duplicate allocation')
  })

  test('many at once, of both makes, have an address each', async () => {
    using net = network([[{ subnet: '10.1.2.0/26' }]])
    const script = `
      import { give } from '${import.meta.dirname}/host-local.ts'
      give(${JSON.stringify(net.config)}, { containerId: process.argv[1], ifname: 'eth0', args: new Map() })`
    const run = (id: string, own: boolean): Promise<number | null> => {
      const child = own
        ? spawn(process.execPath, ['-e', script, id], { stdio: ['ignore', 'ignore', 'inherit'] })
        : spawn(HOST_LOCAL, [], {
            stdio: ['pipe', 'ignore', 'inherit'],
            env: {
              CNI_COMMAND: 'ADD',
              CNI_CONTAINERID: id,
              CNI_IFNAME: 'eth0',
              CNI_NETNS: '/x',
              CNI_PATH: '/usr/lib/cni',
            },
          })
      child.stdin?.end(JSON.stringify(net.config))
      return new Promise((resolve) => child.on('close', resolve))
    }
    const codes = await Promise.all(Array.from({ length: 16 }, (_, i) => run(`c${i}`, i % 2 === 0)))
    expect(codes).toEqual(codes.map(() => 0))
    const owners = net.files().map((name) => readFileSync(join(net.directory, name), 'utf8'))
    expect(new Set(owners).size).toBe(16)
    expect(net.files()).toHaveLength(16)
  })
})
