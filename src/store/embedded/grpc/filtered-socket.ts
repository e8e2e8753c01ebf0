// A connection whose first bytes have been looked at: given back to its reader, with what the client sends passed
// through a filter on its way.
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

type Done = (error?: Error | null) => void

export interface FilteredSocketOptions {
  /** Read from the socket already; comes first. */
  readonly first: Buffer
  readonly filter: (chunk: Buffer) => Buffer
  /** The common name of the client's certificate, if it showed one that was verified. */
  readonly certificateName: string | undefined
}

export class FilteredSocket extends Duplex {
  readonly certificateName: string | undefined
  readonly #socket: Socket

  constructor(socket: Socket, { first, filter, certificateName }: FilteredSocketOptions) {
    super()
    this.certificateName = certificateName
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      if (!this.push(filter(chunk))) socket.pause()
    })
    socket.on('end', () => this.push(null))
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => this.destroy())
    this.push(filter(first))
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#socket.write(chunk, done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.#socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), done)
  }

  override _final(done: Done): void {
    this.#socket.end(() => done())
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#socket.destroy()
    done(error)
  }
}
