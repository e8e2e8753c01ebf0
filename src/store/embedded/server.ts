// The engine served: its routes on every address listened on.
import { clusterRoutes } from './services/cluster-service.ts'
import type { Engine } from './engine.ts'
import { GrpcServer } from './grpc/grpc-server.ts'
import { kvRoutes } from './services/kv-service.ts'
import { leaseRoutes } from './services/lease-service.ts'
import { urlOf } from './options.ts'
import { refusal } from './grpc/rpc-error.ts'
import type { Listener } from './grpc/transport.ts'
import { watchRoutes } from './services/watch-service.ts'

/** How long calls in progress may take to end once the process was asked to. */
const GRACE_MS = 1000

const WILDCARDS: readonly string[] = ['0.0.0.0', '::']

export class Server implements AsyncDisposable {
  /** Where it serves, with the real port where any was asked for. */
  readonly urls: readonly string[]
  readonly #grpc = new GrpcServer()
  readonly #listeners: readonly Listener[]

  constructor(engine: Engine, listeners: readonly Listener[], progressIntervalMs: number) {
    const addresses = listeners.map(({ host, port }) => ({ host, port }))
    this.urls = addresses.map(urlOf)
    this.#listeners = listeners
    // Clients may replace their endpoints by these, so an address nobody can connect to has no place here.
    const clientUrls = addresses.filter(({ host }) => !WILDCARDS.includes(host)).map(urlOf)
    this.#grpc.serve([
      ...kvRoutes(engine),
      ...watchRoutes(engine, progressIntervalMs),
      ...leaseRoutes(engine),
      ...clusterRoutes(engine, clientUrls),
    ])
    for (const listener of listeners) listener.serve((stream, headers) => this.#grpc.handle(stream, headers))
  }

  /** Ends streams and lets calls finish, for a second at most. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closing = this.#listeners.map((listener) => listener.close())
    this.#grpc.endStreams(refusal('stopped'))
    const late = Promise.withResolvers<void>()
    const timer = setTimeout(late.resolve, GRACE_MS)
    await Promise.race([Promise.all(closing), late.promise])
    clearTimeout(timer)
    for (const listener of this.#listeners) await listener[Symbol.asyncDispose]()
  }
}
