// The engine served: gRPC and health on every address listened on.
import type { Engine } from './engine.ts'
import { GrpcServer } from './grpc/grpc-server.ts'
import { endpointText, isWildcard } from './grpc/listen-address.ts'
import type { Listener } from './grpc/listener.ts'
import { refusal } from './grpc/rpc-error.ts'
import { authRoutes } from './services/auth-service.ts'
import { clusterRoutes } from './services/cluster-service.ts'
import { HealthService } from './services/health-service.ts'
import { kvRoutes } from './services/kv-service.ts'
import { leaseRoutes } from './services/lease-service.ts'
import { watchRoutes } from './services/watch-service.ts'

/** How long calls in progress may take to end once the process was asked to. */
const GRACE_MS = 1000

export class Server implements AsyncDisposable {
  /** Where it serves, with the real port where any was asked for. */
  readonly urls: readonly string[]
  readonly #grpc = new GrpcServer()
  readonly #listeners: readonly Listener[]

  constructor(engine: Engine, listeners: readonly Listener[], progressIntervalMs: number) {
    const addresses = listeners.map(({ address }) => address)
    this.urls = addresses.map(endpointText)
    this.#listeners = listeners
    // Clients may replace their endpoints by these, so an address nobody can connect to has no place here.
    const clientUrls = addresses.filter((address) => !isWildcard(address)).map(endpointText)
    this.#grpc.serve([
      ...kvRoutes(engine),
      ...watchRoutes(engine, progressIntervalMs),
      ...leaseRoutes(engine),
      ...authRoutes(engine),
      ...clusterRoutes(engine, clientUrls),
    ])
    const health = new HealthService(engine)
    for (const listener of listeners) {
      listener.serve({
        request: (request, response) => health.request(request, response),
        stream: (stream, headers, certificateName) => {
          if (headers[':method'] === 'GET') health.stream(stream, headers)
          else this.#grpc.handle(stream, headers, certificateName)
        },
      })
    }
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
