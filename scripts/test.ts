// `npm test [-- PATH …]`: installs what the tests need, builds, checks, and runs every test (or those under PATH).
// Ends with one line, `N passed, N failed, N skipped`: the true sums, the checks among them.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fetchDebianPackages, installDebianPackages, packagesIn } from './debian.ts'
import { fetchGuestKernel } from './guest-kernel.ts'
import { buildKubernetesPeers } from './kube-peers.ts'
import { buildPeers } from './peers.ts'
import { buildIfStale } from './stale.ts'

const root = join(import.meta.dirname, '..')
const paths = process.argv.slice(2)
const started = performance.now()
const sums = { passed: 0, failed: 0, skipped: 0 }

step('Debian packages the tests need', () =>
  installDebianPackages(packagesIn(join(root, 'scripts', 'test-needs.txt'))),
)
step('Debian packages that tests unpack', () =>
  fetchDebianPackages(packagesIn(join(root, 'scripts', 'test-unpacked.txt'))),
)
// Only what lies in test/ meets peers.
if (paths.length === 0 || paths.some((path) => path.startsWith('test')))
  step('peers built from source', buildPeers)
if (paths.length === 0) step('Kubernetes built from source', buildKubernetesPeers)
if (paths.length === 0 || paths.some((path) => path.startsWith('test')))
  step('a kernel for emulated machines', fetchGuestKernel)
step('dist/heddle', () => buildIfStale(root))
if (paths.length === 0) step('types, lint, format', () => run('scripts/check.ts'))
runTests()
console.log(`took ${((performance.now() - started) / 1000).toFixed(0)} s`)
console.log(`${sums.passed} passed, ${sums.failed} failed, ${sums.skipped} skipped`)
process.exit(sums.failed === 0 && sums.passed > 0 ? 0 : 1)

/** A step that must succeed counts as one test. */
function step(name: string, act: () => void): void {
  try {
    act()
    sums.passed++
    console.log(`ok: ${name}`)
  } catch (error) {
    sums.failed++
    console.log(`FAILED: ${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function run(script: string): void {
  const done = spawnSync(process.execPath, [join(root, script)], { cwd: root, stdio: 'inherit' })
  if (done.status !== 0) throw new Error(`${script} ended with ${done.status ?? done.signal}`)
}

/** Bun's own summary counts only what it printed; the JUnit file is the record. */
function runTests(): void {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-test-'))
  const record = join(folder, 'junit.xml')
  const args = [
    'test',
    '--timeout=60000',
    '--reporter=junit',
    `--reporter-outfile=${record}`,
    ...(paths.length > 0 ? paths : ['src', 'test']),
  ]
  const done = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  const counted = countOf(record)
  rmSync(folder, { recursive: true })
  sums.passed += counted.tests - counted.failures - counted.skipped
  sums.failed += counted.failures
  sums.skipped += counted.skipped
  if (done.status !== 0 && counted.failures === 0) {
    sums.failed++
    console.log(
      `FAILED: bun test ended with ${done.status ?? done.signal} though it recorded no failing test`,
    )
  }
}

function countOf(record: string): { tests: number; failures: number; skipped: number } {
  let head: string
  try {
    head = /<testsuites[^>]*>/.exec(readFileSync(record, 'utf8'))?.[0] ?? ''
  } catch {
    console.log('FAILED: bun test left no record')
    return { tests: 0, failures: 0, skipped: 0 }
  }
  const number = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(head)?.[1] ?? 0)
  return {
    tests: number('tests'),
    failures: number('failures') + number('errors'),
    skipped: number('skipped'),
  }
}
