// A small HTTP server on a TCP port or a UNIX socket. The runtime's own: loading node:http costs each start 3 ms more.
import { lstatSync, rmSync } from 'node:fs'
import { allocate } from './arena.ts'
import { close, connect, isSysError, socket } from './libc.ts'

export type HttpPlace = { readonly ip: string; readonly port: number } | { readonly socket: string }

export interface HttpRequest {
  /** `/readyz`, as it was asked for. */
  readonly path: string
  /** What follows the question mark. */
  readonly query: string
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}
export interface HttpAnswer {
  readonly status: number
  /** Media type. */
  readonly type: string
  /** Parts are sent as they come, each asked for once the one before is on its way; it ends with the request's signal. */
  readonly body: string | AsyncIterable<string>
}

/** A TCP connection that says nothing for so long is closed. */
const IDLE_SECONDS = 10
/** On a UNIX socket server.timeout() changes nothing, and its types don't know this option (Bun 1.4.5). */
const NEVER_IDLE: object = { idleTimeout: 0 }

/** Listens until disposed; every method is answered alike. Throws where the place is taken or can't be had. */
export function listenHttp(
  place: HttpPlace,
  answer: (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>,
): Disposable {
  const stop = new AbortController()
  const fetch = async (request: Request, server: Bun.Server<undefined>): Promise<Response> => {
    const signal = AbortSignal.any([request.signal, stop.signal])
    const { status, type, body } = await answer({ ...targetOf(request.url), signal })
    const headers = { 'content-type': type }
    if (typeof body === 'string') return new Response(body, { status, headers })
    if (request.method === 'HEAD') return new Response(null, { status, headers })
    // Between two parts there may be hours.
    server.timeout(request, 0)
    return new Response(streamOf(body), { status, headers })
  }
  if ('socket' in place) takeOver(place.socket)
  const server =
    'socket' in place
      ? Bun.serve({
          fetch,
          development: false,
          unix: place.socket,
          ...NEVER_IDLE,
        })
      : Bun.serve({
          fetch,
          development: false,
          hostname: place.ip,
          port: place.port,
          idleTimeout: IDLE_SECONDS,
        })
  return {
    [Symbol.dispose]() {
      stop.abort(new Error('the listener is closed'))
      void server.stop(true)
    },
  }
}

function streamOf(parts: AsyncIterable<string>): ReadableStream<Uint8Array> {
  const iterator = parts[Symbol.asyncIterator]()
  const encoder = new TextEncoder()
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await iterator.next()
      if (done === true) controller.close()
      else controller.enqueue(encoder.encode(value))
    },
    async cancel() {
      await iterator.return?.()
    },
  })
}

/** `http://host/path?query`, or without the host where the request named none. */
function targetOf(url: string): Pick<HttpRequest, 'path' | 'query'> {
  const [target = '', ...query] = url.replace(/^[a-z]+:\/\/[^/?]*/, '').split('?')
  return { path: target, query: query.join('?') }
}

/** A socket that a killed process left behind refuses, and goes. Throws if one answers, or if it is something else. */
function takeOver(path: string): void {
  const there = lstatSync(path, { throwIfNoEntry: false })
  if (there === undefined) return
  if (!there.isSocket()) throw new Error('there is a file of that name already, and it is no socket')
  if (isAnswered(path)) throw new Error('another process answers there')
  rmSync(path, { force: true })
}

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_NONBLOCK = 0o4000

function isAnswered(path: string): boolean {
  const name = Buffer.from(path)
  using address = allocate(name.length + 3)
  address.view.setUint16(0, AF_UNIX, true)
  address.bytes.set(name, 2)
  const fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)
  try {
    connect(fd, address.address, name.length + 3)
    return true
  } catch (error) {
    // EAGAIN: one listens, and is busy.
    if (isSysError(error, 'EAGAIN')) return true
    if (isSysError(error)) return false
    throw error
  } finally {
    close(fd)
  }
}
