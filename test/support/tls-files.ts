// TLS files in a folder of the test's own, each put there whole as an operator renews and replaces them:
// `using folder = new TlsFolder()`; and all those of an etcd cluster and its client.
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Authority, type Certificate, type Validity } from './authority.ts'

/** Paths of PEM files. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}
export interface CertificateFiles extends KeyPair {
  readonly ca: string
}

export class TlsFolder implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'heddle-test-tls-'))

  path(name: string): string {
    return join(this.#folder, name)
  }

  /** The file's path. */
  put(name: string, text: string): string {
    const path = this.path(name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(`${path}.new`, text, { mode: 0o600 })
    renameSync(`${path}.new`, path)
    return path
  }

  /** `name.key` and `name.pem`. */
  write(name: string, { cert, key }: Certificate): KeyPair {
    return { key: this.put(`${name}.key`, key), cert: this.put(`${name}.pem`, cert) }
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** What these files hold by then, as our own client takes it. */
export const materialOf = (ca: string, own?: KeyPair) => () =>
  Promise.resolve({
    ca: readFileSync(ca),
    ...(own !== undefined && { cert: readFileSync(own.cert), key: readFileSync(own.key) }),
  })

/** etcd reads a certificate's files anew for each handshake; whom it trusts, only at its start. */
export class ClusterCertificates implements Disposable {
  /** What issues from now on. */
  authority = new Authority('etcd CA')
  /** What `--etcd-cafile`, `--etcd-certfile` and `--etcd-keyfile` of daemons name. */
  readonly client: CertificateFiles
  readonly #folder = new TlsFolder()
  /** Addresses by the member's name. */
  readonly #members: ReadonlyMap<string, readonly string[]>

  constructor(members: ReadonlyMap<string, readonly string[]>) {
    this.#members = members
    this.client = this.#files('client', 'client-ca')
    this.trust(this.authority)
    this.clientTrusts(this.authority)
    this.renewMembers()
    this.renewClient()
  }

  member(name: string): CertificateFiles {
    return this.#files(name, 'members-ca')
  }

  /** New certificates for all members; the next handshake shows them. */
  renewMembers(validity: Validity = {}): void {
    for (const [name, hosts] of this.#members)
      this.#folder.write(name, this.authority.issue({ name, hosts, ...validity }))
  }

  renewClient(validity: Validity = {}): void {
    this.#folder.write('client', this.authority.issue({ name: 'flanneld', ...validity }))
  }

  /** Whom members trust, clients and each other alike, from their next start on. */
  trust(...authorities: readonly Authority[]): void {
    this.#folder.put('members-ca.pem', bundle(authorities))
  }

  clientTrusts(...authorities: readonly Authority[]): void {
    this.#folder.put('client-ca.pem', bundle(authorities))
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]()
  }

  #files(name: string, ca: string): CertificateFiles {
    const path = (file: string) => this.#folder.path(file)
    return { ca: path(`${ca}.pem`), cert: path(`${name}.pem`), key: path(`${name}.key`) }
  }
}

const bundle = (authorities: readonly Authority[]): string => authorities.map(({ cert }) => cert).join('')
