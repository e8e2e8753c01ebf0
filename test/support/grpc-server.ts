// A gRPC server of whatever behaviour a test gives it, and a server of plain bytes; closed by `close`.
import {
  createServer as createHttp2,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { createServer as createTcp, type AddressInfo, type Server, type Socket } from 'node:net'

export const GRPC = { ':status': 200, 'content-type': 'application/grpc' }

export interface Served extends Disposable {
  readonly endpoint: string
  /** How many connections it had. */
  readonly connections: number
}

/** Answers every call as `behaviour` does, by the stream, the path of its method and its headers. */
export async function serveGrpc(
  behaviour: (stream: ServerHttp2Stream, path: string, headers: IncomingHttpHeaders) => void,
): Promise<Served> {
  const server = createHttp2()
  const open = new Set<{ destroy(): void }>()
  let connections = 0
  server.on('session', (session) => {
    connections++
    open.add(session)
    session.on('error', () => undefined)
    session.on('close', () => open.delete(session))
  })
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined)
    behaviour(stream, String(headers[':path']), headers)
  })
  return served(server, open, () => connections)
}

export async function serveBytes(behaviour: (socket: Socket) => void): Promise<Served> {
  const open = new Set<Socket>()
  let connections = 0
  const server = createTcp((socket) => {
    connections++
    open.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => open.delete(socket))
    behaviour(socket)
  })
  return served(server, open, () => connections)
}

/** An address where nobody listens. */
export async function nobodyListens(): Promise<string> {
  const server = createTcp()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

/** Those frames, then the trailers. */
export function respond(
  stream: ServerHttp2Stream,
  frames: readonly Uint8Array[],
  trailers: Readonly<Record<string, string>> = { 'grpc-status': '0' },
): void {
  stream.respond(GRPC, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ ...trailers }))
  for (const frame of frames) stream.write(frame)
  stream.end()
}

/** An immediate error: its status in the headers. */
export const refuse = (stream: ServerHttp2Stream, status: number | string, message = ''): void =>
  stream.respond({ ...GRPC, 'grpc-status': String(status), 'grpc-message': message }, { endStream: true })

async function served(
  server: Http2Server | Server,
  open: Set<{ destroy(): void }>,
  connections: () => number,
): Promise<Served> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return connections()
    },
    [Symbol.dispose]() {
      for (const one of open) one.destroy()
      server.close()
    },
  }
}
