// Echoes between two namespaces over a veth pair, both families; and what is heard when nobody answers.
import { expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { kernel, type TestHost } from '../../test/support/kernel.ts'
import { ip } from '../../test/support/values.ts'
import type { Ip } from '../model/ip.ts'
import { createLink } from '../netlink/link.ts'
import { allocate } from './arena.ts'
import { echo } from './icmp.ts'
import { close, sendto, socket } from './libc.ts'
import { writeSysctl } from './sysctl.ts'

async function pair(): Promise<{ a: TestHost; b: TestHost } & AsyncDisposable> {
  const [a, b] = [await kernel(), await kernel()]
  a.netlink().request(
    createLink({
      name: 'eth0',
      kind: { type: 'veth', peer: { name: 'eth0', namespace: { fd: b.namespace.fd } } },
    }),
  )
  for (const [host, n] of [
    [a, 1],
    [b, 2],
  ] as const)
    await host.sh(
      `ip addr add 10.0.0.${n}/24 dev eth0; ip addr add fd00::${n}/64 dev eth0 nodad; ip link set eth0 up`,
    )
  return {
    a,
    b,
    async [Symbol.asyncDispose]() {
      await a[Symbol.asyncDispose]()
      await b[Symbol.asyncDispose]()
    },
  }
}

/** IPv6 needs a second or two after a link came up. */
async function answered(host: TestHost, target: Ip): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const micros = await echo(target, { timeoutMs: 200, namespace: host.namespace })
    if (micros !== undefined) return micros
  }
  return expect.unreachable(`${target} never answered`)
}

test('the other end answers, in both families, and so do we ourselves', async () => {
  await using hosts = await pair()
  for (const target of ['10.0.0.2', 'fd00::2', '10.0.0.1', 'fd00::1', '127.0.0.1', '::1']) {
    const micros = await answered(hosts.a, ip(target))
    expect(micros).toBeGreaterThan(0)
    expect(micros).toBeLessThan(200_000)
  }
})

test('many at once are told apart', async () => {
  await using hosts = await pair()
  await answered(hosts.a, ip('10.0.0.2'))
  const targets = Array.from({ length: 40 }, (_, i) => ip(i % 2 === 0 ? '10.0.0.2' : '10.0.0.77'))
  const seen = await Promise.all(
    targets.map((target) => echo(target, { timeoutMs: 400, namespace: hosts.a.namespace })),
  )
  expect(seen.map((micros) => micros !== undefined)).toEqual(targets.map((t) => t === ip('10.0.0.2')))
})

/** Sends an echo reply that nobody asked for from `host` to 10.0.0.1. */
function answerUnasked(host: TestHost): void {
  const fd = host.namespace.run(() => socket(2, 3, 1))
  using block = allocate(64)
  // Type 0, code 0, and the checksum of all the rest being zero.
  block.view.setUint16(2, 0xffff)
  block.view.setUint16(32, 2, true)
  block.bytes.set([10, 0, 0, 1], 36)
  sendto(fd, block.address, 24, 0, { address: block.address + 32, bytes: 16 })
  close(fd)
}

test('a reply to somebody else is not taken for ours', async () => {
  await using hosts = await pair()
  await answered(hosts.a, ip('10.0.0.2'))
  writeSysctl('net/ipv4/icmp_echo_ignore_all', 1, hosts.b.namespace)
  const ours = echo(ip('10.0.0.2'), { timeoutMs: 300, namespace: hosts.a.namespace })
  answerUnasked(hosts.b)
  expect(await ours).toBeUndefined()
})

test('silence, no route and a stopped wait are all no answer', async () => {
  await using hosts = await pair()
  const { namespace } = hosts.a
  writeSysctl('net/ipv4/icmp_echo_ignore_all', 1, hosts.b.namespace)
  expect(await echo(ip('10.0.0.2'), { timeoutMs: 50, namespace })).toBeUndefined()
  expect(await echo(ip('192.0.2.1'), { timeoutMs: 60_000, namespace })).toBeUndefined()
  expect(await echo(ip('2001:db8::1'), { timeoutMs: 60_000, namespace })).toBeUndefined()
  const stopped = echo(ip('10.0.0.2'), { timeoutMs: 60_000, namespace, signal: AbortSignal.timeout(10) })
  expect(await stopped).toBeUndefined()
})

test('without CAP_NET_RAW a ping socket serves, where the system lets this user have one', () => {
  const script = `
    import { echo } from '${import.meta.dir}/icmp.ts'
    const try_ = (ip) => echo(ip, { timeoutMs: 5000 }).then((micros) => micros > 0, (error) => error.errnoName)
    console.log(await try_('127.0.0.1'), await try_('::1'))`
  const run = (range: string) =>
    spawnSync(
      'unshare',
      [
        '-n',
        'sh',
        '-ec',
        `ip link set lo up; echo ${range} > /proc/sys/net/ipv4/ping_group_range
         exec setpriv --inh-caps=-net_raw --bounding-set=-net_raw "$0" -e "$1"`,
        process.execPath,
        script,
      ],
      { encoding: 'utf8' },
    )
  expect([run('0 0').stderr, run('0 0').stdout]).toEqual(['', 'true true\n'])
  expect(run('1 0').stdout).toBe('EACCES EACCES\n')
})
