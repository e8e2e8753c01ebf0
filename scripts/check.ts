// Types, lint and format over the whole tree; warnings are errors. `bun scripts/check.ts [--fix]` formats in place.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const fix = process.argv.includes('--fix')
const steps: readonly (readonly [string, readonly string[]])[] = [
  ['oxfmt', fix ? ['.'] : ['--check', '.']],
  ['tsc', []],
  ['oxlint', ['--type-aware', '--deny-warnings', ...(fix ? ['--fix'] : [])]],
]

let failed = 0
for (const [tool, args] of steps) {
  const done = spawnSync(join(root, 'node_modules', '.bin', tool), args, { cwd: root, stdio: 'inherit' })
  if (done.status !== 0) failed++
  console.log(`${done.status === 0 ? 'ok' : 'FAILED'}: ${tool} ${args.join(' ')}`)
}
process.exit(failed === 0 ? 0 : 1)
