// Bytes: what is written is read back, and no truncated or mutated message of the kernel's does worse than a
// NetlinkError that says the reply can't be read.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { kernel } from '../../test/support/kernel.ts'
import { thrown } from '../../test/support/values.ts'
import { ipFromBytes } from '../model/ip.ts'
import { macFromBytes } from '../model/mac.ts'
import { listAddresses, parseAddress } from './address.ts'
import { Attributes } from './attributes.ts'
import { NetlinkError } from './error.ts'
import { getLink, listLinks, parseLink } from './link.ts'
import { listFdb, listNeighbours, parseNeighbour } from './neighbour.ts'
import { listNexthops, parseNexthop } from './nexthop.ts'
import { splitMessages, statusOf } from './reply.ts'
import { parseRoute } from './route-info.ts'
import { listRoutes } from './route.ts'
import { type Message, type Reply, Writer } from './wire.ts'

const type = fc.integer({ min: 1, max: 0x3fff })
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })

/** One attribute: how it is written, and how it is read back. */
interface Sample {
  write: (w: Writer) => void
  check: (a: Attributes) => void
}
const sample: fc.Arbitrary<Sample> = fc.oneof(
  { depthSize: 'small', withCrossShrink: true },
  value(
    fc.integer({ min: 0, max: 0xff }),
    (w, t, v) => w.attrU8(t, v),
    (a) => a.u8(),
  ),
  value(
    fc.integer({ min: 0, max: 0xffff }),
    (w, t, v) => w.attrU16(t, v),
    (a) => a.u16(),
  ),
  value(
    fc.integer({ min: 0, max: 0xffff }),
    (w, t, v) => w.attrBe16(t, v),
    (a) => a.be16(),
  ),
  value(
    fc.integer({ min: 0, max: 0xffff_ffff }),
    (w, t, v) => w.attrU32(t, v),
    (a) => a.u32(),
  ),
  value(
    fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
    (w, t, v) => w.attrU32(t, v),
    (a) => a.i32(),
  ),
  value(
    fc.integer({ min: 0, max: 0xffff_ffff }),
    (w, t, v) => w.attrBe32(t, v),
    (a) => a.be32(),
  ),
  value(
    fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
    (w, t, v) => w.attrU64(t, v),
    (a) => a.u64(),
  ),
  value(
    fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
    (w, t, v) => w.attrBe64(t, v),
    (a) => a.be64(),
  ),
  value(
    fc.uint8Array({ maxLength: 70 }),
    (w, t, v) => w.attrBytes(t, v),
    (a) => a.bytes().slice(),
  ),
  value(
    fc.string().map((s) => s.replaceAll('\0', '')),
    (w, t, v) => w.attrText(t, v),
    (a) => a.text(),
  ),
  value(
    bytes(6).map(macFromBytes),
    (w, t, v) => w.attrMac(t, v),
    (a) => a.mac(),
  ),
  value(
    fc.oneof(bytes(4), bytes(16)).map(ipFromBytes),
    (w, t, v) => w.attrIp(t, v),
    (a) => a.ip(),
  ),
  value(
    fc.constant(0),
    (w, t) => w.attrFlag(t),
    (a) => a.length,
  ),
)

function value<T>(
  of: fc.Arbitrary<T>,
  write: (w: Writer, type: number, value: T) => void,
  read: (a: Attributes) => T,
): fc.Arbitrary<Sample> {
  return fc.tuple(type, of).map(([t, v]) => ({
    write: (w) => write(w, t, v),
    check: (a) => {
      expect(a.next()).toBe(true)
      expect(a.type).toBe(t)
      expect(read(a)).toEqual(v)
    },
  }))
}

const nest = (inner: Sample[], t: number): Sample => ({
  write: (w) =>
    w.nest(t, () => {
      for (const one of inner) one.write(w)
    }),
  check: (a) => {
    expect(a.next()).toBe(true)
    expect(a.type).toBe(t)
    const nested = a.nested()
    for (const one of inner) one.check(nested)
    expect(nested.next()).toBe(false)
  },
})

describe('writing and reading', () => {
  test('any attributes, nested ones too, come back as they were', () => {
    const nested = fc.tuple(fc.array(sample, { maxLength: 5 }), type).map(([inner, t]) => nest(inner, t))
    fc.assert(
      fc.property(
        fc.array(fc.oneof(sample, nested), { maxLength: 12 }),
        fc.nat(7),
        (samples, headerWords) => {
          const message = Writer.message(16, 0, 'test', (w) => {
            w.zero(headerWords * 4)
            for (const one of samples) one.write(w)
          })
          expect(message.body.length % 4).toBe(0)
          const a = new Attributes(message.body, headerWords * 4, 'a test')
          for (const one of samples) one.check(a)
          expect(a.next()).toBe(false)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('a message may be built while another is', () => {
    let inner: Message | undefined
    const outer = Writer.message(1, 0, 'outer', (w) => {
      w.attrU32(1, 11)
      inner = Writer.message(2, 0, 'inner', (v) => v.attrU32(2, 22))
      w.attrU32(3, 33)
    })
    expect(Buffer.from(inner?.body ?? []).toString('hex')).toBe('0800020016000000')
    expect(Buffer.from(outer.body).toString('hex')).toBe('080001000b0000000800030021000000')
  })

  test('a builder that throws leaves nothing behind', () => {
    thrown(() =>
      Writer.message(1, 0, 'bad', (w) => {
        w.u32(1)
        throw new Error('stop')
      }),
    )
    expect(Writer.message(1, 0, 'good', (w) => w.u32(7)).body).toEqual(new Uint8Array([7, 0, 0, 0]))
  })

  test('what does not fit is refused', () => {
    const write = (build: (w: Writer) => void) => () => Writer.message(1, 0, 'x', build)
    expect(write((w) => w.attrText(1, 'a\0b'))).toThrow('holds a NUL character')
    expect(write((w) => w.attrBytes(1, new Uint8Array(65_532)))).toThrow('more than 65535')
    expect(write((w) => w.attribute(1, () => w.zero(65_532)))).toThrow('more than 65535')
  })

  test('a value shorter than what is read is malformed, by name', () => {
    const { body } = Writer.message(1, 0, 'x', (w) => w.attrU16(5, 1))
    for (const read of ['u32', 'i32', 'u64', 'be32', 'be64', 'ip', 'mac'] as const) {
      const a = new Attributes(body, 0, 'a test')
      a.next()
      expect(thrown(() => a[read]())).toMatchObject({ code: 'malformed' })
      expect(String(thrown(() => a[read]()))).toContain('attribute 5 of a test has 2 bytes')
    }
  })
})

describe('replies that are not whole', () => {
  interface Seed {
    name: string
    body: Uint8Array
    parse: (body: Uint8Array) => unknown
  }

  /** Replies of a real kernel with one of everything. */
  async function seeds(): Promise<Seed[]> {
    await using host = await kernel()
    await host.sh(`
      ip link add va type veth peer name vb; ip link add br0 type bridge; ip link set vb master br0
      ip addr add 192.0.2.1/24 dev va; ip addr add 2001:db8::1/64 dev va nodad
      ip link add flannel.1 type vxlan id 1 dev va local 192.0.2.1 dstport 8472 nolearning gbp
      for l in va vb br0 flannel.1; do ip link set $l up; done
      ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev va; ip neigh add 2001:db8::9 lladdr 02:00:00:00:00:09 dev va
      bridge fdb add 02:00:00:00:00:02 dev flannel.1 self dst 192.0.2.2
      ip nexthop add id 7 via 192.0.2.9 dev va; ip nexthop add id 8 blackhole; ip nexthop add id 9 group 7
      ip route add 10.1.0.0/24 nhid 7; ip route add 10.2.0.0/24 via inet6 fe80::1 dev va; ip route add blackhole 10.3.0.0/16
      ip route add 10.4.0.0/24 nexthop via 192.0.2.8 nexthop via 192.0.2.9
      ip -6 route add fd00:1::/64 via 2001:db8::9 metric 7 table 1000`)
    const socket = host.netlink()
    const of = (name: string, parse: Seed['parse'], messages: Message[]): Seed[] =>
      messages.flatMap((message) => socket.dump(message)).map(({ body }) => ({ name, body, parse }))
    return [
      ...of('link', parseLink, [listLinks()]),
      ...of('address', parseAddress, [listAddresses()]),
      ...of('neighbour', parseNeighbour, [
        listNeighbours({ family: 'ipv4' }),
        listNeighbours({ family: 'ipv6' }),
        listFdb(),
      ]),
      ...of('nexthop', parseNexthop, [listNexthops()]),
      ...of('route', parseRoute, [listRoutes({ family: 'ipv4' }), listRoutes({ family: 'ipv6' })]),
    ]
  }

  /** Parses, or throws a NetlinkError `malformed` that says which part of what. */
  function holds(act: () => unknown): void {
    try {
      act()
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error
      expect(error.code).toBe('malformed')
      expect(error.message).toStartWith("the kernel's reply can't be read: ")
    }
  }

  test('every truncation and many mutations of every kind of object parse or are malformed by name', async () => {
    const all = await seeds()
    expect(new Set(all.map((seed) => seed.name))).toEqual(
      new Set(['link', 'address', 'neighbour', 'nexthop', 'route']),
    )
    for (const { body, parse } of all) {
      parse(body)
      for (let end = 0; end < body.length; end++) holds(() => parse(body.subarray(0, end)))
    }
    const change = fc.record({ at: fc.nat(2000), value: fc.integer({ min: 0, max: 255 }) })
    fc.assert(
      fc.property(
        fc.nat(all.length - 1),
        fc.array(change, { minLength: 1, maxLength: 6 }),
        (index, changes) => {
          const seed = all[index]
          if (seed === undefined) return
          const mutated = seed.body.slice()
          for (const { at, value } of changes) mutated[at % mutated.length] = value
          holds(() => seed.parse(mutated))
        },
      ),
      { numRuns: 5000 },
    )
  })

  test('datagrams are split, or malformed by name', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (datagram) => holds(() => splitMessages(datagram))),
      { numRuns: 2000 },
    )
    const good = Buffer.from(
      '14000000020000000100000000000000000000001400000003000000010000000000000000000000',
      'hex',
    )
    expect(splitMessages(good).map((reply) => reply.type)).toEqual([2, 3])
    for (let end = 1; end < good.length; end++)
      if (end !== 20)
        expect(thrown(() => splitMessages(good.subarray(0, end)))).toMatchObject({ code: 'malformed' })
  })

  test('error reports are read, or malformed by name', () => {
    const request = getLink('lo')
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 120 }),
        fc.constantFrom(2, 3),
        fc.integer({ min: 0, max: 0xffff }),
        (body, type, flags) => {
          const reply: Reply = { type, flags, sequence: 1, port: 0, body }
          holds(() =>
            expect(statusOf(reply, request) ?? { code: 'refused' }).toMatchObject({ code: 'refused' }),
          )
        },
      ),
      { numRuns: 3000 },
    )
  })
})
