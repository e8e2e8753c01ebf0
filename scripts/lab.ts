// `npm run lab`: builds the executable if the sources are newer, then brings the lab up with it.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { buildIfStale } from './stale.ts'

const root = join(import.meta.dirname, '..')
try {
  buildIfStale(root)
} catch (error) {
  console.error(`heddle: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(1)
}
const words = process.argv.slice(2)
const verbs = ['up', 'check', 'status', 'exec', 'logs', 'down']
const lab = words[0] !== undefined && verbs.includes(words[0]) ? words : ['up', ...words]
process.exit(spawnSync(join(root, 'dist', 'heddle'), ['lab', ...lab], { stdio: 'inherit' }).status ?? 1)
