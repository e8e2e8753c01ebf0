// gRPC by hand over node:http2, for tests that send what a proper client doesn't.
import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
} from 'node:http2'
import { connect as connectSocket } from 'node:net'

export interface RawAnswer {
  /** Of the headers and, where they came apart, the trailers. */
  readonly status: string | undefined
  readonly message: string
  readonly httpStatus: number
  /** Whether the status came in the headers, without any body. */
  readonly trailersOnly: boolean
  readonly body: Buffer
}

export class RawGrpc implements Disposable {
  readonly session: ClientHttp2Session

  /** `socketPath` takes the way over a UNIX socket. */
  constructor(endpoint: string, socketPath?: string) {
    const over = socketPath === undefined ? {} : { createConnection: () => connectSocket(socketPath) }
    this.session = connect(endpoint, { maxSessionMemory: 64, ...over })
    this.session.on('error', () => undefined)
  }

  open(path: string, headers: Readonly<Record<string, string>> = {}): ClientHttp2Stream {
    const stream = this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    })
    stream.on('error', () => undefined)
    return stream
  }

  /** Sends the body as it is and collects what comes back. */
  async call(
    path: string,
    body: Uint8Array,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<RawAnswer> {
    const stream = this.open(path, headers)
    stream.end(body)
    return answerOf(stream)
  }

  [Symbol.dispose](): void {
    this.session.destroy()
  }
}

export async function answerOf(stream: ClientHttp2Stream): Promise<RawAnswer> {
  let headers: IncomingHttpHeaders = {}
  let trailers: IncomingHttpHeaders | undefined
  const chunks: Buffer[] = []
  stream.on('response', (received) => (headers = received))
  stream.on('trailers', (received) => (trailers = received))
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await new Promise<void>((resolve) => stream.on('close', () => resolve()))
  const last = trailers ?? headers
  const status = last['grpc-status']
  return {
    status: status === undefined ? undefined : String(status),
    message: decodeURIComponent(String(last['grpc-message'] ?? '')),
    httpStatus: Number(headers[':status']),
    trailersOnly: trailers === undefined && status !== undefined,
    body: Buffer.concat(chunks),
  }
}
