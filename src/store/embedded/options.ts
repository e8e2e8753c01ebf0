// The command line of `heddle store`.
import { BlockList, isIP } from 'node:net'
import { parseArgs } from 'node:util'
import { ServeError } from './serve-error.ts'

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export interface StoreOptions {
  readonly listen: readonly ListenAddress[]
  readonly dataDirectory: string
  readonly progressIntervalMs: number
}

export const STORE_HELP = `heddle store: etcd's v3 API from one file, for a network without an etcd of its own

  --listen ADDR:PORT[,ADDR:PORT…]         where to serve (127.0.0.1:2379)
  --data-dir DIR                          where store.db is kept (/var/lib/heddle/store)
  --allow-plaintext                       serve beyond loopback without TLS: whoever reaches the port may change all
  --watch-progress-notify-interval SEC    how often idle watches that ask for it hear the revision (600)
`

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Undefined when help was asked for. Throws ServeError('usage'). */
export function parseStoreOptions(argv: readonly string[]): StoreOptions | undefined {
  const { values } = parseFlags(argv)
  if (values.help) return undefined
  const listen = values.listen.split(',').map(parseListenAddress)
  const exposed = listen.find(({ host }) => !isLoopback(host))
  if (exposed !== undefined && !values['allow-plaintext']) {
    throw new ServeError(
      'usage',
      `--listen ${exposed.host}:${exposed.port} can be reached from other hosts, and the store has no TLS or users: ` +
        'listen on loopback, or add --allow-plaintext if that network is yours alone',
    )
  }
  const progressSeconds = Number(values['watch-progress-notify-interval'])
  if (!(progressSeconds > 0 && progressSeconds <= 86_400)) {
    throw new ServeError(
      'usage',
      '--watch-progress-notify-interval takes seconds, more than 0 and at most 86400',
    )
  }
  return { listen, dataDirectory: values['data-dir'], progressIntervalMs: progressSeconds * 1000 }
}

function parseFlags(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        listen: { type: 'string', default: '127.0.0.1:2379' },
        'data-dir': { type: 'string', default: '/var/lib/heddle/store' },
        'allow-plaintext': { type: 'boolean', default: false },
        'watch-progress-notify-interval': { type: 'string', default: '600' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    throw new ServeError('usage', `${problemOf(text)}; see heddle store --help`, { cause: error })
  }
}

/** The first of parseArgs' sentences, in our style; the others are for programmers. */
function problemOf(text: string): string {
  const [first = ''] = text.split(/\.\s/u)
  return (first.charAt(0).toLowerCase() + first.slice(1)).replace(/'(?<word>.*)'/u, '$<word>')
}

function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<v4>[^:]+)):(?<port>\d{1,5})$/.exec(text)
  const host = match?.groups?.['v6'] ?? match?.groups?.['v4'] ?? ''
  const port = Number(match?.groups?.['port'])
  const isAddress =
    match?.groups?.['v6'] === undefined ? isIP(host) === 4 || host === 'localhost' : isIP(host) === 6
  if (!isAddress || port > 65_535) {
    throw new ServeError('usage', `--listen ${text} isn't ADDR:PORT, like 127.0.0.1:2379 or [::1]:2379`)
  }
  return { host, port }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || loopback.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4')
}

export function addressOf({ host, port }: ListenAddress): string {
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`
}

export function urlOf(address: ListenAddress): string {
  return `http://${addressOf(address)}`
}
