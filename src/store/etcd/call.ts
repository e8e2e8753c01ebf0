// One gRPC call over an HTTP/2 stream: messages out, messages in, and the status that ends it.
// Source: grpc/grpc doc/PROTOCOL-HTTP2.md.
import {
  constants,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2'
import { EtcdError, Status, unavailable } from './error.ts'
import { encodeFrame, FrameReader } from './frame.ts'
import type { Session } from './session.ts'

/** The largest message we take: 60,000 leases are about 18 MB. */
const MAX_MESSAGE_BYTES = 128 << 20

/** A method of a gRPC service, and the codec of its messages. */
export interface Method<Request, Response> {
  /** With its package: `etcdserverpb.KV`. */
  readonly service: string
  readonly name: string
  readonly encode: (request: Request) => Uint8Array
  /** Throws for bytes that are no such message. */
  readonly decode: (message: Uint8Array) => Response
}

export interface CallOptions {
  readonly metadata: Readonly<Record<string, string>>
  /** The whole call; absent for streams that stay open. */
  readonly deadlineMs?: number
  readonly signal: AbortSignal
}

/** Disposable: leaving its scope resets the stream if it's still open. */
export class Call<Request, Response> implements Disposable {
  readonly #method: Method<Request, Response>
  readonly #session: Session
  readonly #stream: ClientHttp2Stream
  readonly #signal: AbortSignal
  readonly #onAbort: () => void
  #timer: NodeJS.Timeout | undefined
  #headers: (IncomingHttpHeaders & IncomingHttpStatusHeader) | undefined
  #trailers: IncomingHttpHeaders | undefined
  #failure: unknown

  constructor(session: Session, method: Method<Request, Response>, options: CallOptions) {
    const { metadata, deadlineMs, signal } = options
    signal.throwIfAborted()
    this.#session = session
    this.#method = method
    this.#signal = signal
    this.#stream = session.open({
      ':method': 'POST',
      ':path': `/${method.service}/${method.name}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(deadlineMs === undefined ? {} : { 'grpc-timeout': `${deadlineMs}m` }),
      ...metadata,
    })
    this.#stream.on('response', (headers) => {
      this.#headers = headers
    })
    this.#stream.on('trailers', (trailers) => {
      this.#trailers = trailers
    })
    // Shown by the end of the messages; without a listener it would end the process.
    this.#stream.on('error', (cause: Error) => {
      this.#failure ??= session.end ?? this.#error(cause.message, cause)
    })
    this.#onAbort = () => this.fail(signal.reason)
    signal.addEventListener('abort', this.#onAbort, { once: true })
    if (deadlineMs !== undefined)
      this.#timer = setTimeout(() => {
        this.fail(this.#error(`no answer within ${deadlineMs / 1000} s`))
        session.retire()
      }, deadlineMs)
  }

  /** Throws EtcdError for what can't be said in such a message. */
  send(request: Request): void {
    if (this.#stream.destroyed || this.#stream.writableEnded) return
    this.#stream.write(encodeFrame(this.#encoded(request)))
  }

  /** Nothing more to send. */
  end(): void {
    this.#stream.end()
  }

  /** Ends the call from our side; `messages` throws `reason`. */
  fail(reason: unknown): void {
    this.#failure ??= reason
    this.#stream.close(constants.NGHTTP2_CANCEL)
  }

  /** The server's messages, to the end of the call. Throws EtcdError unless it ended with status 0. To be read once. */
  async *messages(): AsyncGenerator<Response, void, undefined> {
    try {
      const reader = new FrameReader(MAX_MESSAGE_BYTES)
      for await (const chunk of this.#stream as AsyncIterable<Buffer>) {
        this.#checkHeaders()
        for (const message of reader.push(chunk)) yield this.#method.decode(message)
      }
      this.#throwFailure()
      this.#checkHeaders()
      this.#checkStatus()
      reader.finish()
    } catch (cause) {
      this.#throwFailure()
      throw cause instanceof EtcdError ? cause : this.#error((cause as Error).message, cause)
    } finally {
      this[Symbol.dispose]()
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#signal.removeEventListener('abort', this.#onAbort)
    if (!this.#stream.closed) this.#stream.close(constants.NGHTTP2_CANCEL)
  }

  #encoded(request: Request): Uint8Array {
    try {
      return this.#method.encode(request)
    } catch (cause) {
      throw this.#error((cause as Error).message, cause)
    }
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Anything but 200 and application/grpc comes from something that isn't etcd: a proxy, a web server. */
  #checkHeaders(): void {
    const status = this.#headers?.[':status']
    const type = this.#headers?.['content-type'] ?? ''
    if (status !== undefined && (status !== 200 || !type.startsWith('application/grpc')))
      throw this.#error(`answered HTTP ${status} ${type}: this isn't etcd's gRPC API`)
  }

  #checkStatus(): void {
    // An immediate error comes with its status in the headers ("trailers-only").
    const last = this.#trailers ?? this.#headers
    const status = last?.['grpc-status']
    if (status === undefined) throw this.#session.end ?? this.#error('the call was cut off before its end')
    if (typeof status !== 'string' || !/^\d{1,3}$/.test(status))
      throw this.#error(`ended with grpc-status ${JSON.stringify(status)}, which is none`)
    if (Number(status) === Status.ok) return
    // This member can't serve now (no leader, stopping): other calls had better go elsewhere.
    if (Number(status) === Status.unavailable) this.#session.retire()
    throw new EtcdError(Number(status), this.#session.endpoint, this.#method.name, messageOf(last))
  }

  #error(detail: string, cause?: unknown): EtcdError {
    return unavailable(this.#session.endpoint, this.#method.name, detail, cause)
  }
}

/** grpc-message is percent-encoded; what can't be decoded is shown as it came. */
function messageOf(headers: IncomingHttpHeaders | undefined): string {
  const message = String(headers?.['grpc-message'] ?? '')
  try {
    return decodeURIComponent(message)
  } catch {
    return message
  }
}
