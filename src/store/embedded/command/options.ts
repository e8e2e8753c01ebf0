// The command line of `heddle store`. Flags that etcd has too have etcd's names.
import type { ParseArgsOptionsConfig } from 'node:util'
import { addressText, isExposed, parseListenAddress, type ListenAddress } from '../grpc/listen-address.ts'
import type { TlsPaths } from '../grpc/tls-files.ts'
import type { Retention } from '../keys/auto-compaction.ts'
import { ServeError } from '../serve-error.ts'
import { DEFAULT_DATA_DIRECTORY, parseFlags } from './flags.ts'
import { DEFAULT_MODE, parseRetention } from './retention.ts'

export interface StoreOptions {
  readonly listen: readonly ListenAddress[]
  readonly dataDirectory: string
  readonly tls: TlsPaths | undefined
  readonly progressIntervalMs: number
  readonly authTokenTtlMs: number
  readonly retention: Retention | undefined
}

export const STORE_HELP = `heddle store: etcd's v3 API from one file, for a network without an etcd of its own

  heddle store [FLAGS]                    serve until SIGTERM
  heddle store backup FILE                copy the store, running or not; see heddle store backup --help
  heddle store restore FILE               make a store from such a copy; see heddle store restore --help

  --listen ADDR:PORT[,ADDR:PORT…]         where to serve (127.0.0.1:2379): with TLS if there is a certificate; also
                                          http://ADDR:PORT, https://ADDR:PORT, unix:PATH
  --data-dir DIR                          where store.db is kept (/var/lib/heddle/store)

  --cert-file FILE, --key-file FILE       the server's certificate, with those between it and its CA, and its key
  --trusted-ca-file FILE                  clients must show a certificate signed by this CA
  --client-cert-optional                  clients without a certificate may connect too; a bad one is still refused
                                          Files that are replaced are used from the next connection on.
  --allow-plaintext                       serve beyond loopback without TLS: whoever reaches the port may listen in,
                                          and change all unless users are enabled

  --auto-compaction-mode MODE             periodic: keep the history of some time; revision: of some changes (periodic)
  --auto-compaction-retention TIME|COUNT  how much of it: 1h, 30m, 12 (hours), or a number of changes; 0 keeps all (1h,
                                          10000)
  --auth-token-ttl SEC                    how long a login lasts that isn't used, where users are enabled (300)
  --watch-progress-notify-interval SEC    how often idle watches that ask for it hear the revision (600)
`

const FLAGS = {
  listen: { type: 'string', default: '127.0.0.1:2379' },
  'data-dir': { type: 'string', default: DEFAULT_DATA_DIRECTORY },
  'cert-file': { type: 'string' },
  'key-file': { type: 'string' },
  'trusted-ca-file': { type: 'string' },
  'client-cert-optional': { type: 'boolean', default: false },
  'allow-plaintext': { type: 'boolean', default: false },
  'auto-compaction-mode': { type: 'string', default: DEFAULT_MODE },
  'auto-compaction-retention': { type: 'string' },
  'auth-token-ttl': { type: 'string', default: '300' },
  'watch-progress-notify-interval': { type: 'string', default: '600' },
  help: { type: 'boolean', short: 'h', default: false },
} as const satisfies ParseArgsOptionsConfig

const parse = (argv: readonly string[]) => parseFlags('heddle store', argv, { options: FLAGS }).values

type Flags = ReturnType<typeof parse>

/** Undefined when help was asked for. Throws ServeError('usage'). */
export function parseStoreOptions(argv: readonly string[]): StoreOptions | undefined {
  const flags = parse(argv)
  if (flags.help) return undefined
  const tls = tlsPaths(flags)
  const listen = flags.listen.split(',').map((text) => parseListenAddress(text, tls !== undefined))
  const bare = listen.find((address) => isExposed(address) && !(address.kind === 'tcp' && address.tls))
  if (bare !== undefined && !flags['allow-plaintext']) {
    throw new ServeError(
      'usage',
      `--listen ${addressText(bare)} can be reached from other hosts, and without TLS: listen on loopback, or give ` +
        '--cert-file, --key-file and --trusted-ca-file, or add --allow-plaintext if that network is yours alone',
    )
  }
  return {
    listen,
    dataDirectory: flags['data-dir'],
    tls,
    progressIntervalMs: milliseconds(flags, 'watch-progress-notify-interval'),
    authTokenTtlMs: milliseconds(flags, 'auth-token-ttl'),
    retention: parseRetention(flags['auto-compaction-mode'], flags['auto-compaction-retention']),
  }
}

function milliseconds(flags: Flags, name: 'auth-token-ttl' | 'watch-progress-notify-interval'): number {
  const seconds = Number(flags[name])
  if (seconds > 0 && seconds <= 86_400) return seconds * 1000
  throw new ServeError('usage', `--${name} takes seconds, more than 0 and at most 86400`)
}

function tlsPaths(flags: Flags): TlsPaths | undefined {
  const { 'cert-file': certFile, 'key-file': keyFile, 'trusted-ca-file': clientCaFile } = flags
  const clientCertOptional = flags['client-cert-optional']
  if (clientCertOptional && clientCaFile === undefined) {
    throw new ServeError(
      'usage',
      '--client-cert-optional goes with --trusted-ca-file: no certificate is asked for',
    )
  }
  if (certFile !== undefined && keyFile !== undefined) {
    return { certFile, keyFile, clientCaFile, clientCertOptional }
  }
  if (certFile === undefined && keyFile === undefined && clientCaFile === undefined) return undefined
  throw new ServeError(
    'usage',
    `TLS takes --cert-file and --key-file together: ${certFile === undefined ? '--cert-file' : '--key-file'} is missing`,
  )
}
