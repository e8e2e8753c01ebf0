// Where the store listens, as `--listen` spells it: ADDR:PORT, http://ADDR:PORT, https://ADDR:PORT or unix:PATH.
import { BlockList, isIP } from 'node:net'
import { resolve } from 'node:path'
import { ServeError } from '../serve-error.ts'

export type ListenAddress = TcpAddress | UnixAddress

export interface TcpAddress {
  readonly kind: 'tcp'
  readonly host: string
  readonly port: number
  readonly tls: boolean
}
/** A socket file that its owner alone may connect to. */
export interface UnixAddress {
  readonly kind: 'unix'
  readonly path: string
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

const WILDCARDS: readonly string[] = ['0.0.0.0', '::']

/** `hasCertificate` decides for an address without a scheme. Throws ServeError('usage'). */
export function parseListenAddress(text: string, hasCertificate: boolean): ListenAddress {
  const path = /^unix:(?:\/\/)?(?<path>.+)$/.exec(text)?.groups?.['path']
  if (path !== undefined) return { kind: 'unix', path: resolve(path) }
  const match = /^(?:(?<scheme>https?):\/\/)?(?:\[(?<v6>[^\]]+)\]|(?<v4>[^:/]+)):(?<port>\d{1,5})\/?$/.exec(
    text,
  )
  const { scheme, v6, v4, port: portText } = match?.groups ?? {}
  const host = v6 ?? v4 ?? ''
  const port = Number(portText)
  const isAddress = v6 === undefined ? isIP(host) === 4 || host === 'localhost' : isIP(host) === 6
  if (!isAddress || port > 65_535) {
    throw new ServeError(
      'usage',
      `--listen ${text} isn't ADDR:PORT, like 127.0.0.1:2379 or [::1]:2379, nor unix:PATH`,
    )
  }
  if (scheme === 'https' && !hasCertificate) {
    throw new ServeError('usage', `--listen ${text} wants TLS: give --cert-file and --key-file`)
  }
  return { kind: 'tcp', host, port, tls: scheme === undefined ? hasCertificate : scheme === 'https' }
}

/** True where hosts other than this one can connect. */
export function isExposed(address: ListenAddress): boolean {
  if (address.kind === 'unix' || address.host === 'localhost') return false
  return !loopback.check(address.host, isIP(address.host) === 6 ? 'ipv6' : 'ipv4')
}

/** True for an address that stands for all of this host's: nobody can connect to it by that name. */
export function isWildcard(address: ListenAddress): boolean {
  return address.kind === 'tcp' && WILDCARDS.includes(address.host)
}

/** ADDR:PORT, or the path with its scheme. */
export function addressText(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  return `${isIP(address.host) === 6 ? `[${address.host}]` : address.host}:${address.port}`
}

/** As etcd's clients take it for an endpoint. */
export function endpointText(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix://${address.path}`
  return `${address.tls ? 'https' : 'http'}://${addressText(address)}`
}
