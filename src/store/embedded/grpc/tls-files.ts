// The files of TLS: certificate, key, and the CA of the clients. Looked at for each new connection, as etcd does, so
// that whoever replaces them, by whatever renames and links, has no process to tell. What can't be used is told, and
// what was in use stays.
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { log } from '../../../sys/log.ts'
import { ServeError } from '../serve-error.ts'
import { expiryOf, nextLookMs, type Expiry } from '../../expiry.ts'

const logger = log.from('store.ts')

export interface TlsPaths {
  readonly certFile: string
  readonly keyFile: string
  /** Who signs the certificates of clients; without it none is asked for. */
  readonly clientCaFile: string | undefined
  /** Clients without a certificate are let in as well. */
  readonly clientCertOptional: boolean
}

/** In PEM, as node:tls takes it. */
export interface TlsMaterial {
  readonly cert: Buffer
  readonly key: Buffer
  readonly ca: Buffer | undefined
}

export class TlsFiles implements Disposable {
  readonly #paths: TlsPaths
  #material: TlsMaterial
  /** Of the files as they were read last, whether or not they could be used. */
  #signature: string
  #expiries: readonly Expiry[]
  #timer: NodeJS.Timeout | undefined

  /** Throws ServeError('tls_unusable'). */
  constructor(paths: TlsPaths) {
    this.#paths = paths
    this.#signature = signatureOf(paths)
    this.#material = read(paths)
    this.#expiries = expiriesOf(paths, this.#material)
    this.#look()
  }

  get requiresClientCertificate(): boolean {
    return this.#paths.clientCaFile !== undefined && !this.#paths.clientCertOptional
  }

  /** The newest that can be used; the same object until the files change. */
  current(): TlsMaterial {
    const signature = signatureOf(this.#paths)
    if (signature !== this.#signature) {
      this.#signature = signature
      this.#readAgain()
    }
    return this.#material
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }

  #readAgain(): void {
    try {
      const material = read(this.#paths)
      this.#expiries = expiriesOf(this.#paths, material)
      this.#material = material
    } catch (error) {
      if (!(error instanceof ServeError)) throw error
      logger.warning(`${error.message}; the one read before stays in use until that changes`)
      return
    }
    logger.info(`new connections use the changed ${this.#paths.certFile}`)
    this.#look()
  }

  /** Tells of certificates that expire soon, today and every day from then on. */
  #look(): void {
    clearTimeout(this.#timer)
    const nowMs = Date.now()
    for (const expiry of this.#expiries) {
      const warning = expiry.warning(nowMs)
      if (warning !== undefined) logger[warning.level](warning.text)
    }
    this.#timer = setTimeout(
      () => {
        this.current()
        this.#look()
      },
      nextLookMs(this.#expiries, nowMs),
    )
    this.#timer.unref()
  }
}

/** Differs when any of the files was replaced or written; a missing one counts as a state of its own. */
function signatureOf({ certFile, keyFile, clientCaFile }: TlsPaths): string {
  const one = (path: string | undefined): string => {
    if (path === undefined) return ''
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true })
      return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`
    } catch (error) {
      return error instanceof Error && 'code' in error ? String(error.code) : String(error)
    }
  }
  return [certFile, keyFile, clientCaFile].map(one).join('\n')
}

function read(paths: TlsPaths): TlsMaterial {
  const cert = readPem('--cert-file', paths.certFile)
  const key = readPem('--key-file', paths.keyFile)
  const ca = paths.clientCaFile === undefined ? undefined : readPem('--trusted-ca-file', paths.clientCaFile)
  const [own] = certificatesOf('--cert-file', paths.certFile, cert)
  if (ca !== undefined) certificatesOf('--trusted-ca-file', paths.clientCaFile ?? '', ca)
  checkKey(paths, key, own)
  try {
    createSecureContext({ cert, key, ca })
  } catch (error) {
    throw unusable(
      '--cert-file',
      paths.certFile,
      error instanceof Error ? error.message : String(error),
      error,
    )
  }
  return { cert, key, ca }
}

function checkKey({ keyFile, certFile }: TlsPaths, pem: Buffer, own: X509Certificate | undefined): void {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (error) {
    throw unusable('--key-file', keyFile, 'no private key in PEM form, free of a passphrase, is in it', error)
  }
  if (own?.checkPrivateKey(key) !== true) {
    throw unusable('--key-file', keyFile, `it doesn't belong to the certificate in ${certFile}`)
  }
}

function readPem(flag: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw unusable(flag, path, error instanceof Error ? error.message : String(error), error)
  }
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** All certificates of a file, the first of which is the owner's. */
function certificatesOf(flag: string, path: string, pem: Buffer): X509Certificate[] {
  try {
    const found = [...pem.toString('latin1').matchAll(PEM_CERTIFICATE)].map(
      ([text]) => new X509Certificate(text),
    )
    if (found.length > 0) return found
  } catch (error) {
    throw unusable(flag, path, 'a certificate in it is damaged', error)
  }
  throw unusable(flag, path, 'no certificate in PEM form is in it')
}

function expiriesOf(paths: TlsPaths, { cert, ca }: TlsMaterial): Expiry[] {
  const of = (path: string | undefined, pem: Buffer | undefined): Expiry[] =>
    path === undefined || pem === undefined
      ? []
      : certificatesOf('', path, pem).map(({ subject, validTo }) =>
          expiryOf({ subject, endMs: Date.parse(validTo) }, `in ${path}`),
        )
  return [...of(paths.certFile, cert), ...of(paths.clientCaFile, ca)]
}

function unusable(flag: string, path: string, why: string, cause?: unknown): ServeError {
  return new ServeError('tls_unusable', `${flag} ${path} can't be used: ${why}`, { cause })
}
