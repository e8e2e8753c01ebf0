// Packages of the compiled executable, made in a folder of a test's own below dist/.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { PackageOptions } from '../../scripts/packages/deb.ts'
import { HEDDLE, ROOT } from './executable.ts'

export const EPOCH_SECONDS = 1_750_000_000

/** Removed with all that is in it. */
export function packageFolder(): { readonly path: string } & Disposable {
  mkdirSync(join(ROOT, 'dist'), { recursive: true })
  const path = mkdtempSync(join(ROOT, 'dist', '.test-packages-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** What to make: this machine's executable, little compressed. */
export const packageOptions = (folder: string, version = '1.2.3-rc.1'): PackageOptions => {
  return { target: 'x64', version, executable: HEDDLE, epochSeconds: EPOCH_SECONDS, folder, quick: true }
}
