// A folder of TLS files, each put there whole: `using folder = new TlsFolder()`.
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Certificate } from './authority.ts'

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

  /** `name.pem` and `name.key`. */
  write(name: string, { cert, key }: Certificate): { readonly cert: string; readonly key: string } {
    return { cert: this.put(`${name}.pem`, cert), key: this.put(`${name}.key`, key) }
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
