// What flanneld tells about itself over HTTP: /healthz, /livez and /readyz, /metrics for Prometheus, /status and /drift as
// JSON, /drift?watch as lines of JSON.
// The same answers on the health port and on the UNIX socket.
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { listenHttp, type HttpAnswer, type HttpPlace, type HttpRequest } from '../sys/http-listener.ts'
import { probeAnswer, type Check } from './checks.ts'

/** All of it is computed when it is asked for. */
export interface StatusSource {
  /** Whether the process is any good: it should be restarted where one of these fails. */
  live(): readonly Check[]
  /** Whether the host's network is as it should be. */
  ready(): readonly Check[]
  /** Everything worth telling, as plain JSON. */
  report(): unknown
  /** What isn't in the kernel as it should be, compared afresh; changes nothing. */
  drift(): Promise<unknown>
  /** The same now and whenever it is another, until the signal. */
  driftChanges(signal: AbortSignal): AsyncIterable<unknown>
  /** All metrics in Prometheus' text form. */
  metrics(): Promise<string>
}

export interface StatusServerOptions {
  /** Told each time that the place can't be had, and once that it was had after all. */
  readonly onTrouble: (reason: string) => void
  readonly onRelief: () => void
  /** The pause before the first other try; it doubles. */
  readonly retryMs?: number
}

const RETRY_MS = 500
const LONGEST_RETRY_MS = 30_000
/** Each of them may make the daemon compare again after each round. */
const MOST_WATCHERS = 16

/** Answers from its construction on until disposed. A place that is taken is tried again: it never ends the daemon. */
export class StatusServer implements Disposable {
  readonly #place: HttpPlace
  readonly #source: StatusSource
  readonly #options: StatusServerOptions
  #listener: Disposable | undefined
  #retry: NodeJS.Timeout | undefined
  #pauseMs: number
  #watchers = 0

  constructor(place: HttpPlace, source: StatusSource, options: StatusServerOptions) {
    this.#place = place
    this.#source = source
    this.#options = options
    this.#pauseMs = options.retryMs ?? RETRY_MS
    this.#listen(false)
  }

  #listen(isRetry: boolean): void {
    try {
      if ('socket' in this.#place) mkdirSync(dirname(this.#place.socket), { recursive: true })
      this.#listener = listenHttp(this.#place, (request) => this.#answer(request))
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      this.#options.onTrouble(
        `can't answer status requests at ${placeText(this.#place)}: ${why}; trying again`,
      )
      this.#retry = setTimeout(() => this.#listen(true), this.#pauseMs)
      this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_RETRY_MS)
      return
    }
    if (isRetry) this.#options.onRelief()
  }

  async #answer(request: HttpRequest): Promise<HttpAnswer> {
    if (request.path !== '/drift' || !new URLSearchParams(request.query).has('watch'))
      return answer(this.#source, request)
    if (this.#watchers >= MOST_WATCHERS)
      return { status: 503, type: PLAIN, body: `${MOST_WATCHERS} watch already: end one of them\n` }
    return { status: 200, type: 'application/x-ndjson', body: this.#driftLines(request.signal) }
  }

  async *#driftLines(signal: AbortSignal): AsyncGenerator<string, void, undefined> {
    this.#watchers++
    try {
      for await (const report of this.#source.driftChanges(signal)) yield `${JSON.stringify(report)}\n`
    } finally {
      this.#watchers--
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#retry)
    this.#listener?.[Symbol.dispose]()
  }
}

export const placeText = (place: HttpPlace): string =>
  'socket' in place ? place.socket : `${place.ip.includes(':') ? `[${place.ip}]` : place.ip}:${place.port}`

/** Format version of Prometheus' text form (prometheus.io, exposition formats). */
const PROMETHEUS = 'text/plain; version=0.0.4; charset=utf-8'
const PLAIN = 'text/plain; charset=utf-8'

async function answer(source: StatusSource, { path, query }: HttpRequest): Promise<HttpAnswer> {
  try {
    switch (path) {
      case '/healthz':
        return probeAnswer(source.live(), { good: 'flanneld is running', bad: 'flanneld is stuck' }, query)
      case '/livez':
        return probeAnswer(source.live(), { good: 'flanneld is alive', bad: 'flanneld is stuck' }, query)
      case '/readyz':
        return probeAnswer(
          source.ready(),
          { good: 'flanneld is ready', bad: 'flanneld is not ready yet' },
          query,
        )
      case '/metrics':
        return { status: 200, type: PROMETHEUS, body: await source.metrics() }
      case '/status':
        return { status: 200, type: 'application/json', body: `${JSON.stringify(source.report())}\n` }
      case '/drift':
        return {
          status: 200,
          type: 'application/json',
          body: `${JSON.stringify(await source.drift())}\n`,
        }
      default:
        return { status: 404, type: PLAIN, body: '404 page not found\n' }
    }
  } catch (error) {
    // A fault of ours while telling how we are must not end what we do.
    const why = error instanceof Error ? error.message : String(error)
    return { status: 500, type: PLAIN, body: `${path} can't be told: ${why}\n` }
  }
}
