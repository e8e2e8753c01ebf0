// A connection as the HTTP/2 parser gets it: the socket, with the client's bytes passed through the authority filter.
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { AuthorityFilter } from './authority-filter.ts'

type Done = (error?: Error | null) => void

export class FilteredSocket extends Duplex {
  readonly #socket: Socket

  constructor(socket: Socket) {
    super()
    const filter = new AuthorityFilter()
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      if (!this.push(filter.push(chunk))) socket.pause()
    })
    socket.on('end', () => this.push(null))
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => this.destroy())
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
