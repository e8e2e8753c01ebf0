// Plain HTTP on the client port, as etcd 3.6 serves it: /health for probes that read JSON, /livez and /readyz for
// those that read the status alone.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServerHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import type { Engine } from '../engine.ts'

interface Answer {
  readonly status: number
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

export class HealthService {
  readonly #engine: Engine

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** HTTP/1: one request a connection. */
  request(request: IncomingMessage, response: ServerResponse): void {
    const { status, body, headers } = this.#answer(request.method ?? '', request.url ?? '')
    response.writeHead(status, { ...headersOf(body), ...headers, connection: 'close' })
    response.end(body)
  }

  stream(stream: ServerHttp2Stream, requested: IncomingHttpHeaders): void {
    stream.on('error', () => undefined)
    const { status, body, headers } = this.#answer(String(requested[':method']), String(requested[':path']))
    stream.respond({ ':status': status, ...headersOf(body), ...headers })
    stream.end(body)
  }

  #answer(method: string, target: string): Answer {
    const [path, query] = target.split('?', 2)
    if (path !== '/health' && path !== '/livez' && path !== '/readyz') {
      return { status: 404, body: '404 page not found\n' }
    }
    if (method !== 'GET') return { status: 405, body: 'Method Not Allowed\n', headers: { allow: 'GET' } }
    const reason = this.#trouble(
      path === '/health' && !new URLSearchParams(query).getAll('exclude').includes('NOSPACE'),
    )
    if (path === '/health') {
      const body = JSON.stringify({ health: reason === undefined ? 'true' : 'false', reason: reason ?? '' })
      return { status: reason === undefined ? 200 : 503, body }
    }
    return reason === undefined ? { status: 200, body: 'ok\n' } : { status: 503, body: `${reason}\n` }
  }

  /** Why it isn't healthy, in etcd's words. */
  #trouble(minds: boolean): string | undefined {
    if (minds && this.#engine.queue.outOfSpace) return 'ALARM NOSPACE'
    try {
      this.#engine.database.sizes()
    } catch (error) {
      return `RANGE ERROR:${error instanceof Error ? error.message : String(error)}`
    }
    return undefined
  }
}

function headersOf(body: string): Record<string, string> {
  return {
    'content-type': 'text/plain; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'content-length': String(Buffer.byteLength(body)),
  }
}
