// The packets that must get through this host for pods to reach one another and the outside: what is known of their
// headers, and which hooks of the kernel they pass. Pure.
import { bitsOf, ipToBytes, type Family } from '../../model/ip.ts'
import { baseOf, lengthOf, type Prefix } from '../../model/prefix.ts'
import type { Hook } from '../../netlink/nftables/foreign/ruleset.ts'
import { nothing, whole, type Partial } from './partial.ts'

/** A name that nobody knows. */
export const SOME_PORT: Port = { name: '*' }

export interface Port {
  readonly name: string
  readonly index?: number
}

/** The first packet of a connection. */
export interface Packet {
  /** Which way it goes, for people: `from pods here to pods of other hosts`. */
  readonly way: string
  readonly family: Family
  readonly hooks: readonly Hook[]
  readonly in?: Port
  readonly out?: Port
  /** What pods hang on: a bridge, whose own rules see what passes its ports. */
  readonly podLink: Port
  /** IP protocol number. */
  readonly protocol: number
  readonly network: Partial
  readonly transport: Partial
}

/** This host, as packets of pods meet it. One family. */
export interface Site {
  /** The cluster's network, and this host's part of it. */
  readonly network: Prefix
  readonly subnet: Prefix
  /** What pods hang on: cni0 unless it is known better. */
  readonly podLink: Port
  /** The interface between hosts, which also leads outside. */
  readonly underlay: Port
  /** By which packets for other hosts' pods leave: the tunnel's device, or the underlay itself. */
  readonly peerLink: Port
  /** Where packets between pods travel in UDP. */
  readonly tunnel?: { readonly port: number; readonly family: Family; readonly local: Prefix }
}

const TCP = 6
const UDP = 17
/** Ports that nobody has a rule for: what is said of such a packet holds for pods' traffic in general. */
const CLIENT_PORT = 61_998
const SERVER_PORT = 47_806
/** An address of the outside, no more than an example of one. */
const OUTSIDE: Record<Family, Prefix> = {
  ipv4: '1.1.1.1/32' as Prefix,
  ipv6: '2606:4700:4700::1111/128' as Prefix,
}
const ANYWHERE: Record<Family, Prefix> = { ipv4: '0.0.0.0/0' as Prefix, ipv6: '::/0' as Prefix }

const FORWARDED: readonly Hook[] = ['ingress', 'prerouting', 'forward', 'postrouting', 'egress']

/** In the order in which one would look: what crosses hosts, then what leaves them. */
export function packetsOf(family: Family, site: Site): Packet[] {
  const { network, subnet, podLink, peerLink, underlay, tunnel } = site
  const tcp = (from: Prefix, to: Prefix) => ({
    family,
    podLink,
    hooks: FORWARDED,
    protocol: TCP,
    network: networkHeader(family, TCP, from, to),
    transport: tcpHeader(),
  })
  return [
    {
      way: 'from pods here to pods of other hosts',
      in: podLink,
      out: peerLink,
      ...tcp(subnet, network),
    },
    {
      way: 'from pods of other hosts to pods here',
      in: peerLink,
      out: podLink,
      ...tcp(network, subnet),
    },
    ...(tunnel === undefined ? [] : tunnelPackets(tunnel, site)),
    {
      way: 'from pods here to the outside',
      in: podLink,
      out: underlay,
      ...tcp(subnet, OUTSIDE[family]),
    },
  ]
}

function tunnelPackets(
  { port, family, local }: NonNullable<Site['tunnel']>,
  { underlay, podLink }: Site,
): Packet[] {
  const udp = (from: Prefix, to: Prefix) => ({
    family,
    podLink,
    protocol: UDP,
    network: networkHeader(family, UDP, from, to),
    transport: udpHeader(port),
  })
  return [
    {
      way: `from other hosts into the tunnel (UDP port ${port})`,
      hooks: ['ingress', 'prerouting', 'input'],
      in: underlay,
      ...udp(ANYWHERE[family], local),
    },
    {
      way: `out of the tunnel to other hosts (UDP port ${port})`,
      hooks: ['output', 'postrouting', 'egress'],
      out: underlay,
      ...udp(local, ANYWHERE[family]),
    },
  ]
}

/** RFC 791, RFC 8200: version, protocol, that it is no fragment, and the addresses as far as their prefixes tell. */
function networkHeader(family: Family, protocol: number, from: Prefix, to: Prefix): Partial {
  const isV4 = family === 'ipv4'
  const header = nothing(isV4 ? 20 : 40)
  const know = (at: number, value: number, mask = 0xff): void => {
    header.bytes[at] = value
    header.known[at] = mask
  }
  if (isV4) {
    know(0, 0x45)
    know(6, 0, 0x3f)
    know(7, 0)
    know(9, protocol)
  } else {
    know(0, 0x60, 0xf0)
    know(6, protocol)
  }
  const address = (at: number, prefix: Prefix): void => {
    const bytes = ipToBytes(baseOf(prefix))
    const length = lengthOf(prefix)
    for (let i = 0; i < bitsOf(family) / 8; i++)
      know(at + i, bytes[i] ?? 0, 0xff & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))))
  }
  address(isV4 ? 12 : 8, from)
  address(isV4 ? 16 : 24, to)
  return header
}

/** RFC 9293, a SYN. */
function tcpHeader(): Partial {
  const header = nothing(20)
  const view = new DataView(header.bytes.buffer)
  view.setUint16(0, CLIENT_PORT)
  view.setUint16(2, SERVER_PORT)
  header.bytes[13] = 0x02
  for (const at of [0, 1, 2, 3, 13]) header.known[at] = 0xff
  return header
}

function udpHeader(port: number): Partial {
  const header = new Uint8Array(4)
  new DataView(header.buffer).setUint16(0, CLIENT_PORT)
  new DataView(header.buffer).setUint16(2, port)
  const { bytes, known } = whole(header)
  return { bytes: pad(bytes), known: pad(known) }
}
const pad = (bytes: Uint8Array): Uint8Array => {
  const padded = new Uint8Array(8)
  padded.set(bytes)
  return padded
}
