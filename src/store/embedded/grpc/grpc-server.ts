// gRPC over HTTP/2 streams, the serving side: routes, frames, statuses. No services and no sockets in here.
// Source: grpc/grpc doc/PROTOCOL-HTTP2.md.
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { encodeFrame, FrameError, FrameReader, type FrameErrorCode } from '../../etcd/frame.ts'
import { callerOf, type Caller } from './caller.ts'
import { RPC_CODES, RpcError, type RpcCode } from './rpc-error.ts'

/** etcd's: 1.5 MiB for a request and 512 KiB for what surrounds it. */
const MAX_REQUEST_BYTES = 2 * 1024 * 1024
/** A peer that leaves this much unread is sent nothing more than it asks for. */
const CONGESTED_BYTES = 512 * 1024

export interface Route {
  readonly path: string
  /** True where the call lasts as long as the client likes. */
  readonly isDuplex: boolean
  serve(stream: ServerHttp2Stream, caller: Caller): void
}

export interface UnaryCall {
  readonly caller: Caller
  readonly requestBytes: number
}

/** The server's end of a stream of messages in both directions. */
export interface DuplexCall<Output extends DescMessage> {
  /** True while the peer leaves much unread; `writable` of the handler is called when that is over. */
  readonly congested: boolean
  send(message: MessageInitShape<Output>): void
  /** Several parts of one encoded message. */
  sendEncoded(...parts: readonly Uint8Array[]): void
  end(error?: RpcError): void
}

export interface DuplexHandler<Input extends DescMessage> {
  message(request: MessageShape<Input>): void
  /** The client has no more to say; it still listens. */
  ended(): void
  writable(): void
  /** The call is over, whoever ended it. */
  closed(): void
}

export function unary<Input extends DescMessage, Output extends DescMessage>(
  method: DescMethodUnary<Input, Output>,
  answer: (
    request: MessageShape<Input>,
    call: UnaryCall,
  ) => MessageInitShape<Output> | Promise<MessageInitShape<Output>>,
): Route {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    isDuplex: false,
    serve(stream, caller) {
      const messages: Uint8Array[] = []
      readFrames(
        stream,
        (message) => messages.push(message),
        async () => {
          const [message] = messages
          if (message === undefined || messages.length > 1) {
            throw new RpcError('internal', `${method.name} takes one message, ${messages.length} came`)
          }
          const response = await answer(fromBinary(method.input, message), {
            caller,
            requestBytes: message.byteLength,
          })
          if (stream.destroyed) return
          open(stream)
          stream.write(encodeFrame(toBinary(method.output, create(method.output, response))))
          close(stream)
        },
      )
    },
  }
}

/** A call that isn't served, and why. */
export function refused(path: string, why: string): Route {
  return {
    path: `/${path}`,
    isDuplex: false,
    serve: (stream) => fail(stream, new RpcError('unimplemented', why)),
  }
}

export function duplex<Input extends DescMessage, Output extends DescMessage>(
  method: DescMethodBiDiStreaming<Input, Output>,
  accept: (call: DuplexCall<Output>, caller: Caller) => DuplexHandler<Input>,
): Route {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    isDuplex: true,
    serve(stream, caller) {
      const call: DuplexCall<Output> = {
        get congested() {
          return stream.writableLength > CONGESTED_BYTES
        },
        send(message) {
          call.sendEncoded(toBinary(method.output, create(method.output, message)))
        },
        sendEncoded(...parts) {
          if (!stream.destroyed && !stream.writableEnded) stream.write(encodeFrame(...parts))
        },
        end(error) {
          if (error === undefined) close(stream)
          else fail(stream, error)
        },
      }
      open(stream)
      const handler = accept(call, caller)
      stream.on('drain', () => handler.writable())
      stream.on('close', () => handler.closed())
      readFrames(
        stream,
        (message) => handler.message(fromBinary(method.input, message)),
        () => handler.ended(),
      )
    },
  }
}

/** Serves the streams of all connections by the routes their paths name. */
export class GrpcServer {
  readonly #routes = new Map<string, Route>()
  readonly #duplexes = new Set<ServerHttp2Stream>()

  serve(routes: readonly Route[]): void {
    for (const route of routes) this.#routes.set(route.path, route)
  }

  handle(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, certificateName?: string): void {
    // A peer that goes away in the middle of a call is no news: `close` follows.
    stream.on('error', () => undefined)
    const path = String(headers[':path'])
    const encoding = String(headers['grpc-encoding'] ?? 'identity')
    const route = this.#routes.get(path)
    if (headers[':method'] !== 'POST' || headers['content-type']?.startsWith('application/grpc') !== true) {
      stream.respond({ ':status': 415 }, { endStream: true })
      stream.resume()
    } else if (route === undefined) {
      fail(stream, new RpcError('unimplemented', `this store doesn't serve ${path}`))
    } else if (encoding !== 'identity') {
      fail(
        stream,
        new RpcError('unimplemented', `this store doesn't take messages compressed by ${encoding}`),
      )
    } else {
      if (route.isDuplex) {
        this.#duplexes.add(stream)
        stream.on('close', () => this.#duplexes.delete(stream))
      }
      route.serve(stream, callerOf(headers, certificateName))
    }
  }

  /** Ends every duplex call with this status. */
  endStreams(error: RpcError): void {
    for (const stream of this.#duplexes) fail(stream, error)
  }
}

const FRAME_CODES: Readonly<Record<FrameErrorCode, RpcCode>> = {
  frame_truncated: 'internal',
  frame_compressed: 'internal',
  frame_malformed: 'internal',
  frame_too_large: 'resource_exhausted',
}

/** Whatever either function throws ends the call with that status. */
function readFrames(
  stream: ServerHttp2Stream,
  received: (message: Uint8Array) => void,
  ended: () => void | Promise<void>,
): void {
  const reader = new FrameReader(MAX_REQUEST_BYTES)
  let failed = false
  const attempt = async (action: () => void | Promise<void>): Promise<void> => {
    if (failed) return
    try {
      await action()
    } catch (error) {
      failed = true
      fail(stream, describe(error))
    }
  }
  stream.on('data', (chunk: Buffer) => {
    void attempt(() => {
      for (const message of reader.push(chunk)) received(message)
    })
  })
  stream.on('end', () => {
    void attempt(async () => {
      reader.finish()
      await ended()
    })
  })
}

function describe(error: unknown): RpcError {
  if (error instanceof RpcError) return error
  const text = error instanceof Error ? error.message : String(error)
  if (error instanceof FrameError) return new RpcError(FRAME_CODES[error.code], text, { cause: error })
  return new RpcError('internal', `heddle store: ${text}`, { cause: error })
}

function open(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
}

function close(
  stream: ServerHttp2Stream,
  status: Readonly<Record<string, string>> = { 'grpc-status': '0' },
): void {
  if (stream.destroyed || stream.writableEnded) return
  stream.once('wantTrailers', () => stream.sendTrailers(status))
  stream.end()
}

/** Ends the call with this status; what the peer still sends is not read. */
function fail(stream: ServerHttp2Stream, error: RpcError): void {
  if (stream.destroyed || stream.writableEnded) return
  const status = {
    'grpc-status': String(RPC_CODES[error.code]),
    'grpc-message': percentEncode(error.message),
  }
  if (stream.headersSent) close(stream, status)
  else stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...status }, { endStream: true })
  stream.resume()
}

/** gRPC's Percent-Encoded: space to '~' but '%' as they are, all else by its UTF-8 bytes. */
function percentEncode(text: string): string {
  return text.replaceAll(/[^ -$&-~]+/gu, (part) =>
    [...Buffer.from(part)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}
