// gRPC message frames, for client and server alike: one flag byte, a 32-bit big-endian length, the message.
// Source: grpc/grpc doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message".

export const FRAME_HEADER_BYTES = 5

export type FrameErrorCode = 'frame_truncated' | 'frame_too_large' | 'frame_compressed' | 'frame_malformed'

/** A byte stream that isn't gRPC frames we accept; the stream it came from is of no further use. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
  readonly code: FrameErrorCode

  constructor(code: FrameErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/** The frame around one message, uncompressed; the message may come in several parts. */
export function encodeFrame(...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.byteLength, 0)
  const frame = new Uint8Array(FRAME_HEADER_BYTES + length)
  new DataView(frame.buffer).setUint32(1, length)
  let at = FRAME_HEADER_BYTES
  for (const part of parts) {
    frame.set(part, at)
    at += part.byteLength
  }
  return frame
}

/**
 * Cuts a byte stream back into messages. Feed every chunk to `push`; call `finish` at the end of the stream.
 * Once one of them has thrown a FrameError, the reader gives nothing more.
 */
export class FrameReader {
  readonly #maxMessageBytes: number
  readonly #chunks: Uint8Array[] = []
  #buffered = 0
  /** Length of the message being received; undefined while its header isn't complete. */
  #messageBytes: number | undefined

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes
  }

  /** The messages completed by this chunk. Each is a copy or a view of a chunk nobody writes to again. */
  push(chunk: Uint8Array): Uint8Array[] {
    // A Buffer's views cost several times as much.
    this.#chunks.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    this.#buffered += chunk.byteLength
    const messages: Uint8Array[] = []
    for (;;) {
      if (this.#messageBytes === undefined) {
        if (this.#buffered < FRAME_HEADER_BYTES) return messages
        this.#messageBytes = this.#length(this.#take(FRAME_HEADER_BYTES))
      }
      if (this.#buffered < this.#messageBytes) return messages
      messages.push(this.#take(this.#messageBytes))
      this.#messageBytes = undefined
    }
  }

  /** The stream has ended: throws when it did so inside a frame. */
  finish(): void {
    if (this.#messageBytes !== undefined) {
      throw new FrameError(
        'frame_truncated',
        `gRPC stream ended inside a message: ${this.#buffered} of ${this.#messageBytes} bytes had come`,
      )
    }
    if (this.#buffered > 0) {
      throw new FrameError(
        'frame_truncated',
        `gRPC stream ended inside a frame header: ${this.#buffered} of ${FRAME_HEADER_BYTES} bytes had come`,
      )
    }
  }

  #length(header: Uint8Array): number {
    const flag = header[0]
    if (flag === 1) {
      throw new FrameError('frame_compressed', 'gRPC message is compressed, and no compression was agreed on')
    }
    if (flag !== 0) {
      throw new FrameError('frame_malformed', `gRPC frame begins with flag ${flag}: this isn't a gRPC stream`)
    }
    const length = new DataView(header.buffer, header.byteOffset).getUint32(1)
    if (length > this.#maxMessageBytes) {
      throw new FrameError(
        'frame_too_large',
        `gRPC message of ${length} bytes is larger than the ${this.#maxMessageBytes} bytes accepted here`,
      )
    }
    return length
  }

  /** Takes exactly `count` buffered bytes; a view where they lie in one chunk. */
  #take(count: number): Uint8Array {
    this.#buffered -= count
    const first = this.#chunks[0]
    if (first === undefined) return new Uint8Array(0)
    if (first.byteLength > count) {
      this.#chunks[0] = first.subarray(count)
      return first.subarray(0, count)
    }
    if (first.byteLength === count) {
      this.#chunks.shift()
      return first
    }
    const taken = new Uint8Array(count)
    let filled = 0
    let consumed = 0
    for (const chunk of this.#chunks) {
      const part = chunk.subarray(0, count - filled)
      taken.set(part, filled)
      filled += part.byteLength
      if (part.byteLength < chunk.byteLength) {
        this.#chunks[consumed] = chunk.subarray(part.byteLength)
        break
      }
      consumed++
      if (filled === count) break
    }
    this.#chunks.splice(0, consumed)
    return taken
  }
}
