// What every npm script starts with, on plain Node ≥ 20 and nothing else: installs the pinned packages if they
// are missing or changed, then runs `scripts/<name>.ts` with the pinned Bun.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..')
const [name, ...args] = process.argv.slice(2)
const bun = join(root, 'node_modules', '.bin', 'bun')
const stamp = join(root, 'node_modules', '.heddle-installed')
const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')

if (!existsSync(bun) || !existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
  console.error('heddle: installing the pinned npm packages (once) …')
  // Not `npm ci`: it refuses a lock without the packages of other platforms, which not every registry mirror has.
  const npm = spawnSync('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (npm.status !== 0) {
    console.error('heddle: `npm install` failed; see its message above (is the npm registry reachable?)')
    process.exit(1)
  }
  writeFileSync(stamp, wanted)
}
const done = spawnSync(bun, [join(root, 'scripts', `${name}.ts`), ...args], { cwd: root, stdio: 'inherit' })
if (done.error) console.error(`heddle: ${bun} did not start: ${done.error.message}`)
process.exit(done.status ?? 1)
