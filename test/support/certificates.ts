// Certificates for the time of a test, made by openssl: `using pki = new Pki()`, `pki.authority('ca')`, …
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** Small keys, made in a few milliseconds. */
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

export interface Issue {
  /** The authority by its name. */
  readonly by: string
  /** `root` to log in as root, say; the name of the file unless given. */
  readonly commonName?: string
  /** Below 0 for one that has expired. */
  readonly days?: number
  /** Addresses that a server answers at. */
  readonly addresses?: readonly string[]
}
/** Files of one certificate, in PEM. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

export class Pki implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'heddle-test-pki-'))

  /** A new CA; the path of its certificate. */
  authority(name: string): string {
    const { cert, key } = this.of(name)
    this.#openssl('req', '-x509', ...KEY, '-keyout', key, '-out', cert, '-days', '30', '-subj', `/CN=${name}`)
    return cert
  }

  /** A certificate for a server or a client, in files of that name. */
  issue(name: string, { by, commonName = name, days = 30, addresses = ['127.0.0.1'] }: Issue): Certificate {
    const own = this.of(name)
    const ca = this.of(by)
    const names = [...addresses.map((ip) => `IP:${ip}`), 'DNS:localhost'].join(',')
    const request = join(this.folder, `${name}.csr`)
    const extensions = ['-addext', `subjectAltName=${names}`, '-addext', 'basicConstraints=critical,CA:FALSE']
    this.#openssl(
      'req',
      ...KEY,
      '-keyout',
      own.key,
      '-out',
      request,
      '-subj',
      `/CN=${commonName}`,
      ...extensions,
    )
    const signer = ['-CA', ca.cert, '-CAkey', ca.key, '-copy_extensions', 'copy']
    this.#openssl('x509', '-req', '-in', request, ...signer, '-days', `${days}`, '-out', own.cert)
    return own
  }

  /** Puts other certificate and key in place of these, each at once. */
  replace({ cert, key }: Certificate, by: Certificate): void {
    for (const [to, from] of [
      [cert, by.cert],
      [key, by.key],
    ] as const) {
      if (dirname(to) !== this.folder) throw new Error(`${to} isn't a file of this test`)
      copyFileSync(from, `${to}.new`)
      renameSync(`${to}.new`, to)
    }
  }

  of(name: string): Certificate {
    return { cert: join(this.folder, `${name}.pem`), key: join(this.folder, `${name}.key`) }
  }

  /** As our own client takes them. */
  client(ca: string, { cert, key }: Partial<Certificate> = {}) {
    return () =>
      Promise.resolve({
        ca: readFileSync(ca),
        ...(cert !== undefined && { cert: readFileSync(cert) }),
        ...(key !== undefined && { key: readFileSync(key) }),
      })
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true })
  }

  #openssl(...args: string[]): void {
    const { status, stderr, error } = spawnSync('openssl', args, { cwd: this.folder, encoding: 'utf8' })
    if (status !== 0) throw new Error(`openssl ${args.join(' ')} failed: ${error?.message ?? stderr}`)
  }
}
