// Builds dist/heddle if it is missing or older than a source of it.
import { spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

export function buildIfStale(root: string): void {
  const built = statSync(join(root, 'dist', 'heddle'), { throwIfNoEntry: false })?.mtimeMs ?? 0
  const newest = Math.max(
    statSync(join(root, 'package-lock.json')).mtimeMs,
    statSync(join(root, 'scripts', 'build.ts')).mtimeMs,
    ...readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs),
  )
  if (built > newest) return
  console.error('heddle: building dist/heddle …')
  const done = spawnSync(process.execPath, [join(root, 'scripts', 'build.ts')], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (done.status !== 0) throw new Error('the build failed; see its message above')
}
