// Lays out a package's files in a folder, the same whatever this process' umask and clock are.
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Entry } from './contents.ts'

/** `folder` must not exist. Modes are those of the list, 0755 for folders; all times are `epochSeconds`. */
export function stage(folder: string, entries: readonly Entry[], epochSeconds: number): void {
  for (const entry of entries) {
    const path = join(folder, entry.path)
    mkdirSync(dirname(path), { recursive: true })
    if ('link' in entry) {
      symlinkSync(entry.link, path)
      continue
    }
    if ('file' in entry) copyFileSync(entry.file, path)
    else writeFileSync(path, entry.text)
    chmodSync(path, entry.mode)
  }
  settle(folder, epochSeconds)
}

function settle(path: string, epochSeconds: number): void {
  if (lstatSync(path).isDirectory()) {
    chmodSync(path, 0o755)
    for (const name of readdirSync(path)) settle(join(path, name), epochSeconds)
  }
  lutimesSync(path, epochSeconds, epochSeconds)
}
