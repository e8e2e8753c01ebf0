// Requests, batches and dumps against a real kernel: errors that explain themselves, and replies that are late, lost,
// forged or interrupted.
import { describe, expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { kernel, type TestHost } from '../../test/support/kernel.ts'
import { ip, mac, prefix, thrown } from '../../test/support/values.ts'
import { ipv4FromNumber } from '../model/ip.ts'
import { prefixOf } from '../model/prefix.ts'
import { allocate } from '../sys/arena.ts'
import { close, MSG, sendto, socket as openSocket } from '../sys/libc.ts'
import { listAddresses, parseAddress, putAddress, removeAddress, RTM_ADDRESS } from './address.ts'
import { ignoreExists, ignoreMissing, isRefused } from './error.ts'
import { changeLink, createLink, listLinks, parseLink, removeLink } from './link.ts'
import { listNeighbours, NUD, parseNeighbour, putNeighbour } from './neighbour.ts'
import { dumpRoutes, parseRoute } from './route-info.ts'
import { getRoute, putRoute } from './route.ts'
import { NetlinkSocket } from './socket.ts'
import { type Message, Writer } from './wire.ts'

async function host(): Promise<TestHost & { br: number }> {
  const fresh = await kernel()
  fresh.netlink().request(createLink({ name: 'br', up: true, kind: { type: 'bridge' } }))
  return Object.assign(fresh, { br: fresh.index('br') })
}

/** How many of them are there; the kernel adds entries of its own for multicast. */
const permanent = (h: TestHost, linkIndex: number): number =>
  h
    .netlink()
    .dump(listNeighbours({ family: 'ipv4', linkIndex }), (reply) => parseNeighbour(reply.body))
    .filter((n) => n.state === NUD.permanent).length

/** `count` permanent neighbours of one link. */
const neighbours = (linkIndex: number, count: number): Message[] =>
  Array.from({ length: count }, (_, i) =>
    putNeighbour({ linkIndex, ip: ipv4FromNumber(0x0a00_0000 + i), mac: mac('02:00:00:00:00:01') }),
  )

describe('errors', () => {
  test('a refusal says what was tried, the error, and the kernel’s own words', async () => {
    await using h = await host()
    const error = thrown(() =>
      h
        .netlink()
        .request(
          putRoute({ to: prefix('10.1.2.0/24'), via: ip('192.0.2.1'), linkIndex: h.br, protocol: 0x68 }),
        ),
    )
    expect(error).toMatchObject({
      code: 'refused',
      errnoName: 'ENETUNREACH',
      explanation: 'Nexthop has invalid gateway',
    })
    expect(String(error)).toContain(
      'put route 10.1.2.0/24: ENETUNREACH (Network is unreachable): Nexthop has invalid gateway',
    )
  })

  test('the attribute at fault is pointed at', async () => {
    await using h = await host()
    const bad = Writer.message(RTM_ADDRESS.put, 0, 'put nonsense', (w) =>
      w.u8(2).u8(24).u8(0).u8(0).u32(h.br).attrU8(2, 1),
    )
    expect(String(thrown(() => h.netlink().request(bad)))).toMatch(
      /Attribute failed policy.*at byte 24 of the message/,
    )
  })

  test('expected races are told from other errors', async () => {
    await using h = await host()
    const socket = h.netlink()
    const make = createLink({ name: 'br', kind: { type: 'bridge' } })
    expect(ignoreExists(() => void socket.request(make))).toBe(false)
    expect(ignoreMissing(() => void socket.request(removeLink('br')))).toBe(true)
    expect(ignoreMissing(() => void socket.request(removeLink('br')))).toBe(false)
    const tooBig = changeLink('lo', { mtuBytes: 0xffff_ffff })
    expect(thrown(() => ignoreMissing(() => void socket.request(tooBig)))).toMatchObject({
      errnoName: 'EINVAL',
    })
  })
})

describe('batches', () => {
  test('one failure in the middle names its own message, and the others are done', async () => {
    await using h = await host()
    const messages = neighbours(h.br, 1000)
    messages[500] = putNeighbour({ linkIndex: 4242, ip: ip('10.0.1.244'), mac: mac('02:00:00:00:00:01') })
    const results = h.netlink().batch(messages)
    expect(results).toHaveLength(1000)
    expect(results.flatMap((error, index) => (error === undefined ? [] : [index]))).toEqual([500])
    expect(isRefused(results[500], 'ENODEV')).toBe(true)
    expect(String(results[500])).toContain('10.0.1.244')
    expect(permanent(h, h.br)).toBe(999)
  })

  test('thousands of failures are all reported, each its own', async () => {
    await using h = await host()
    const messages = Array.from({ length: 9000 }, (_, i) =>
      putRoute({
        to: prefixOf(ipv4FromNumber(0x0a00_0000 + i * 256), 24),
        via: ip('192.0.2.1'),
        linkIndex: h.br,
        protocol: 0x68,
      }),
    )
    const results = h.netlink().batch(messages)
    expect(
      results.every(
        (e, i) => isRefused(e, 'ENETUNREACH') && e.message.startsWith(messages[i]?.subject ?? '-'),
      ),
    ).toBe(true)
  })

  test('a receive buffer for a few reports only is never overrun', async () => {
    await using h = await host()
    for (const bytes of [1, 8192, 40_000]) {
      using socket = NetlinkSocket.open('route', h.namespace, bytes)
      const results = socket.batch(neighbours(4242, 700))
      expect(results.filter((e) => isRefused(e, 'ENODEV'))).toHaveLength(700)
    }
  })

  test('of nothing is nothing; of one works; bigger ones than one send work', async () => {
    await using h = await host()
    const socket = h.netlink()
    expect(socket.batch([])).toEqual([])
    expect(socket.batch(neighbours(h.br, 1))).toEqual([undefined])
    const alias = (bytes: number): Message =>
      Writer.message(16, 0, 'set alias', (w) =>
        w.zero(4).u32(h.br).zero(8).attrBytes(20, new Uint8Array(bytes).fill(97)),
      )
    const results = socket.batch(Array.from({ length: 30 }, (_, i) => alias(i === 15 ? 60_000 : 20_000)))
    expect(results.filter((e) => isRefused(e, 'EINVAL', 'ERANGE'))).toHaveLength(30)
    expect(socket.batch([alias(255)])).toEqual([undefined])
  })

  test('an ordinary user in namespaces of his own is served too', () => {
    const script = `
      import { NetlinkSocket } from '${import.meta.dir}/socket.ts'
      import { putNeighbour, listNeighbours, parseNeighbour } from '${import.meta.dir}/neighbour.ts'
      import { createLink, getLink, parseLink } from '${import.meta.dir}/link.ts'
      const socket = NetlinkSocket.open('route')
      socket.request(createLink({ name: 'br', up: true, kind: { type: 'bridge' } }))
      const { index } = parseLink(socket.request(getLink('br'))[0].body)
      const results = socket.batch(Array.from({ length: 3000 }, (_, i) => putNeighbour({
        linkIndex: i % 2 ? index : 4242, ip: '10.0.' + (i >> 8) + '.' + (i & 255), mac: '02:00:00:00:00:01' })))
      console.log(results.filter((e) => e?.errnoName === 'ENODEV').length,
        socket.dump(listNeighbours({ family: 'ipv4', linkIndex: index }), (reply) => parseNeighbour(reply.body))
          .filter((n) => n.state === 128).length)`
    const run = spawnSync('unshare', ['-Urn', process.execPath, '-e', script], { encoding: 'utf8' })
    expect([run.stderr, run.stdout]).toEqual(['', '1500 1500\n'])
  })
})

test('many questions at once are answered each in its place, refusals among them, however small the buffer', async () => {
  await using h = await host()
  await h.sh('ip addr add 10.0.0.1/8 dev br; ip route add unreachable 10.9.0.0/16')
  for (const bytes of [undefined, 20_000]) {
    using socket = NetlinkSocket.open('route', h.namespace, bytes)
    const ips = Array.from({ length: 3000 }, (_, n) =>
      ipv4FromNumber((10 << 24) | ((n % 10) << 16) | (n + 2)),
    )
    const answers = socket.ask(
      ips.map((to) => getRoute(to)),
      ({ body }) => parseRoute(body)?.to,
    )
    expect(answers.length).toBe(ips.length)
    for (const [index, answer] of answers.entries())
      if (index % 10 === 9) expect(isRefused(answer, 'EHOSTUNREACH')).toBe(true)
      else expect(answer).toBe(prefixOf(ips[index] ?? expect.unreachable(), 32))
    expect(socket.ask([], () => 0)).toEqual([])
    expect(socket.request(getRoute(ip('10.1.0.9'))).length).toBe(1)
  }
})

describe('dumps', () => {
  /** More than one datagram of addresses on the loopback. */
  async function manyAddresses(): Promise<TestHost & { putOne: (n: number) => void }> {
    const fresh = await kernel()
    const lo = fresh.index('lo')
    const address = (n: number) => ({ linkIndex: lo, ip: ipv4FromNumber(0x0a00_0000 + n), length: 32 })
    const results = fresh.netlink().batch(Array.from({ length: 1500 }, (_, n) => putAddress(address(n))))
    expect(results.every((e) => e === undefined)).toBe(true)
    return Object.assign(fresh, {
      // Of another socket: this one is in the middle of its dump.
      putOne(n: number) {
        using other = NetlinkSocket.open('route', fresh.namespace)
        other.request(putAddress(address(10_000 + n)))
        other.request(removeAddress(address(10_000 + n)))
      },
    })
  }

  test('one that the table changed under is read again', async () => {
    await using h = await manyAddresses()
    let seen = 0
    const found = h.netlink().dump(listAddresses({ family: 'ipv4' }), (reply) => {
      if (seen++ === 10) h.putOne(1)
      return parseAddress(reply.body)
    })
    expect(seen).toBeGreaterThan(found.length)
    expect(found).toHaveLength(1501)
    expect(new Set(found.map((a) => a.ip)).size).toBe(1501)
  })

  test('one that never holds still gives up by name, and the socket stays good', async () => {
    await using h = await manyAddresses()
    const error = thrown(() =>
      h.netlink().dump(listAddresses({ family: 'ipv4' }), (reply) => {
        if (parseAddress(reply.body)?.ip === ip('10.0.0.5')) h.putOne(1)
        return reply.type
      }),
    )
    expect(error).toMatchObject({ code: 'interrupted' })
    expect(String(error)).toContain('list addresses: the table changed during each of 8 reads')
    expect(h.netlink().dump(listAddresses({ family: 'ipv4' }))).toHaveLength(1501)
  })

  test('a parser that throws leaves the socket good', async () => {
    await using h = await manyAddresses()
    const error = thrown(() =>
      h.netlink().dump(listAddresses(), () => {
        throw new Error('of the parser')
      }),
    )
    expect(String(error)).toContain('of the parser')
    expect(h.netlink().dump(listLinks(), (reply) => parseLink(reply.body).name)).toEqual(['lo'])
  })

  test('the kernel checks strictly: nonsense in a header is refused, not ignored', async () => {
    await using h = await host()
    const nonsense = Writer.message(RTM_ADDRESS.get, 0, 'list nonsense', (w) => w.u8(2).u8(99).u16(0).u32(0))
    expect(thrown(() => h.netlink().dump(nonsense))).toMatchObject({ code: 'refused', errnoName: 'EINVAL' })
    expect(String(thrown(() => h.netlink().dump(nonsense)))).toContain(
      'Invalid values in header for address dump',
    )
  })

  test('bodies that are kept are copies', async () => {
    await using h = await host()
    h.netlink().batch(neighbours(h.br, 2000))
    const replies = h.netlink().dump(listNeighbours({ family: 'ipv4', linkIndex: h.br }))
    const seen = replies.map((reply) => parseNeighbour(reply.body)).filter((n) => n?.state === NUD.permanent)
    expect(new Set(seen.map((n) => n?.kind === 'neighbour' && n.ip)).size).toBe(2000)
  })

  test('20,000 objects come whole', async () => {
    await using h = await host()
    const socket = h.netlink()
    const results = socket.batch(
      Array.from({ length: 20_000 }, (_, i) =>
        putRoute({
          to: prefixOf(ipv4FromNumber(0x0a00_0000 + i * 64), 26),
          type: 'blackhole',
          protocol: 0x68,
        }),
      ),
    )
    expect(results.every((e) => e === undefined)).toBe(true)
    const routes = dumpRoutes(socket, { family: 'ipv4', protocol: 0x68 })
    expect(new Set(routes.map((r) => r.to)).size).toBe(20_000)
  })
})

describe('foreign and lost replies', () => {
  /** Sends `bytes` to `port`, as any process with the right may; false when no more fits. */
  function forge(h: TestHost, port: number, bytes: Uint8Array): boolean {
    const fd = h.namespace.run(() => openSocket(16, 3, 0))
    using to = allocate(12)
    to.view.setUint16(0, 16, true)
    to.view.setUint32(4, port, true)
    using block = allocate(bytes.length)
    block.bytes.set(bytes)
    try {
      return (
        sendto(fd, block.address, bytes.length, MSG.dontWait, { address: to.address, bytes: 12 }) !==
        undefined
      )
    } finally {
      close(fd)
    }
  }

  test('an error forged by another process is not believed', async () => {
    await using h = await host()
    using socket = NetlinkSocket.open('route', h.namespace)
    const forged = Buffer.alloc(36)
    forged.writeUInt32LE(36, 0)
    forged.writeUInt16LE(2, 4)
    forged.writeUInt32LE(1, 8)
    forged.writeInt32LE(-1, 16)
    forge(h, socket.port, forged)
    socket.request(changeLink('br', { mtuBytes: 1400 }))
    expect(h.link('br').mtuBytes).toBe(1400)
  })

  test('an acknowledgement that found no room is an error by name, and the next request works', async () => {
    await using h = await host()
    using socket = NetlinkSocket.open('route', h.namespace)
    for (const size of [60_000, 16]) while (forge(h, socket.port, new Uint8Array(size)));
    const error = thrown(() => socket.request(changeLink('br', { mtuBytes: 1300 })))
    expect(error).toMatchObject({ code: 'lost' })
    expect(String(error)).toContain('change link br: replies overran the receive buffer')
    expect(h.link('br').mtuBytes).toBe(1300)
    socket.request(changeLink('br', { mtuBytes: 1200 }))
    expect(h.link('br').mtuBytes).toBe(1200)
  })

  test('more than the kernel takes at once is refused by name, and nothing is done', async () => {
    await using h = await host()
    using socket = NetlinkSocket.open('route', h.namespace)
    const many = Array.from({ length: 200 }, () =>
      Writer.message(16, 4, 'set alias', (w) => w.zero(16).attrBytes(20, new Uint8Array(60_000))),
    )
    expect(thrown(() => socket.transaction(many))).toMatchObject({ code: 'refused', errnoName: 'EMSGSIZE' })
    socket.request(changeLink('br', { mtuBytes: 1400 }))
    expect(h.link('br').mtuBytes).toBe(1400)
  })

  test('a closed socket, and one that is in the middle of something, refuse', async () => {
    await using h = await host()
    const socket = NetlinkSocket.open('route', h.namespace)
    const error = thrown(() => socket.dump(listLinks(), () => socket.request(changeLink('br', { up: true }))))
    expect(String(error)).toContain('in the middle of another exchange')
    socket[Symbol.dispose]()
    socket[Symbol.dispose]()
    expect(() => socket.request(changeLink('br', { up: true }))).toThrow('this netlink socket is closed')
  })
})
