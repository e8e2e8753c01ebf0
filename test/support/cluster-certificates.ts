// The certificate files of an etcd cluster and of its client, as an operator renews and replaces them: each write puts a
// whole new file in the old one's place.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Authority, type Certificate, type Validity } from './authority.ts'

/** Paths of PEM files. */
export interface CertificateFiles {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** etcd reads a certificate's files anew for each handshake; whom it trusts, only at its start. */
export class ClusterCertificates implements Disposable {
  /** What issues from now on. */
  authority = new Authority('etcd CA')
  /** What `--etcd-cafile`, `--etcd-certfile` and `--etcd-keyfile` of daemons name. */
  readonly client: CertificateFiles
  readonly #folder = mkdtempSync(join(tmpdir(), 'heddle-test-cluster-'))
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
      this.#write(this.member(name), this.authority.issue({ name, hosts, ...validity }))
  }

  renewClient(validity: Validity = {}): void {
    this.#write(this.client, this.authority.issue({ name: 'flanneld', ...validity }))
  }

  /** Whom members trust, clients and each other alike, from their next start on. */
  trust(...authorities: readonly Authority[]): void {
    this.#put(this.#path('members-ca.pem'), bundle(authorities))
  }

  clientTrusts(...authorities: readonly Authority[]): void {
    this.#put(this.client.ca, bundle(authorities))
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #write(files: CertificateFiles, { cert, key }: Certificate): void {
    this.#put(files.key, key)
    this.#put(files.cert, cert)
  }

  #put(path: string, text: string): void {
    writeFileSync(`${path}.new`, text, { mode: 0o600 })
    renameSync(`${path}.new`, path)
  }

  #files(name: string, ca: string): CertificateFiles {
    return { ca: this.#path(`${ca}.pem`), cert: this.#path(`${name}.pem`), key: this.#path(`${name}.key`) }
  }

  #path(name: string): string {
    return join(this.#folder, name)
  }
}

const bundle = (authorities: readonly Authority[]): string => authorities.map(({ cert }) => cert).join('')
