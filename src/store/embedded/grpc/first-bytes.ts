// Which protocol a new connection speaks: HTTP/2 begins with "PRI * HTTP/2.0" (RFC 9113 3.4), all else is left to
// HTTP/1.
import type { Socket } from 'node:net'

/** What tells "PRI" from "POST" and "PUT", and from every method of HTTP/1 in use. */
const PREFACE_BEGIN = 'PRI'
/** Who says nothing for so long is cut off. */
const PATIENCE_MS = 10_000

export interface FirstBytes {
  readonly bytes: Buffer
  readonly protocol: 'http1' | 'http2'
}

/** Calls `known` once, unless the connection ends before that; the socket is paused then. */
export function readFirstBytes(socket: Socket, known: (first: FirstBytes) => void): void {
  let bytes: Buffer = Buffer.alloc(0)
  const onData = (chunk: Buffer): void => {
    bytes = bytes.byteLength === 0 ? chunk : Buffer.concat([bytes, chunk])
    const begin = bytes.toString('latin1', 0, PREFACE_BEGIN.length)
    if (begin.length < PREFACE_BEGIN.length && PREFACE_BEGIN.startsWith(begin)) return
    socket.pause()
    socket.removeListener('data', onData)
    socket.removeListener('timeout', onTimeout)
    socket.setTimeout(0)
    known({ bytes, protocol: begin === PREFACE_BEGIN ? 'http2' : 'http1' })
  }
  const onTimeout = (): void => void socket.destroy()
  // A peer that goes away says so by `close`.
  socket.on('error', () => undefined)
  socket.setTimeout(PATIENCE_MS)
  socket.on('timeout', onTimeout)
  socket.on('data', onData)
}
