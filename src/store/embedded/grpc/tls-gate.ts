// The TLS handshake of connections that came in, by the files as they are at that moment.
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls'
import type { TlsFiles, TlsMaterial } from './tls-files.ts'

/** A client that can't get its handshake done is cut off. */
const HANDSHAKE_MS = 10_000

export interface GateHandlers {
  /** `certificateName` is the common name of the client's verified certificate, if it showed one that has one name. */
  readonly admitted: (socket: TLSSocket, certificateName: string | undefined) => void
  readonly refused: (reason: string) => void
}

export class TlsGate {
  readonly #files: TlsFiles
  readonly #server: Server
  #material: TlsMaterial

  constructor(files: TlsFiles, { admitted, refused }: GateHandlers) {
    this.#files = files
    this.#material = files.current()
    this.#server = createServer(this.#options(this.#material))
    this.#server.on('secureConnection', (socket) => {
      const shown = socket.getPeerCertificate().subject
      // Who may come without a certificate still may not come with a bad one.
      if (shown !== undefined && !socket.authorized) {
        refused(`the client's certificate: ${String(socket.authorizationError)}`)
        socket.destroy()
      } else {
        admitted(socket, oneName(shown?.CN))
      }
    })
    this.#server.on('tlsClientError', (error, socket) => {
      refused(reasonOf(error))
      socket.destroy()
    })
  }

  /** What fails on the way is told to `refused`, and the socket is closed. */
  admit(socket: Socket): void {
    const material = this.#files.current()
    if (material !== this.#material) {
      this.#material = material
      this.#server.setSecureContext(this.#options(material))
    }
    this.#server.emit('connection', socket)
  }

  #options(material: TlsMaterial): TlsOptions {
    return {
      ...material,
      ALPNProtocols: ['h2', 'http/1.1'],
      minVersion: 'TLSv1.2',
      handshakeTimeout: HANDSHAKE_MS,
      requestCert: material.ca !== undefined,
      rejectUnauthorized: this.#files.requiresClientCertificate,
    }
  }
}

/** A subject with several names says nothing for certain. */
function oneName(name: unknown): string | undefined {
  return typeof name === 'string' && name !== '' ? name : undefined
}

/** BoringSSL's reasons without where in its sources they come from. */
function reasonOf(error: Error): string {
  const known = /OPENSSL_internal:(?<reason>\w+)/.exec(error.message)?.groups?.['reason']
  return known === undefined ? error.message : known.toLowerCase().replaceAll('_', ' ')
}
