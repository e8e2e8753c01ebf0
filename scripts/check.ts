// Types, lint, format, import floors, generated code and pages over the whole tree; warnings are errors.
// `bun scripts/check.ts --fix` formats in place and mends what the linter can.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const fix = process.argv.includes('--fix')
const tool = (name: string) => join(root, 'node_modules', '.bin', name)
const steps: Readonly<Record<string, readonly string[]>> = {
  format: [tool('oxfmt'), ...(fix ? ['.'] : ['--check', '.'])],
  types: [tool('tsc')],
  lint: [tool('oxlint'), '--type-aware', '--deny-warnings', ...(fix ? ['--fix'] : [])],
  floors: [process.execPath, 'test', join(root, 'test', 'floors.test.ts')],
  'generated code': [process.execPath, join(root, 'scripts', 'gen-proto.ts'), '--check'],
  'page of options': [process.execPath, join(root, 'scripts', 'gen-options.ts'), '--check'],
  'page of metrics': [process.execPath, join(root, 'scripts', 'gen-metrics.ts'), '--check'],
}

let failed = 0
for (const [name, [command = '', ...args]] of Object.entries(steps)) {
  const done = spawnSync(command, args, { cwd: root, encoding: 'utf8' })
  const ok = done.status === 0
  if (!ok) failed++
  console.log(ok ? `ok: ${name}` : `FAILED: ${name}\n${done.error?.message ?? done.stdout + done.stderr}`)
}
process.exit(failed === 0 ? 0 : 1)
