// Regenerates src/store/embedded/gen from src/store/embedded/proto: `node_modules/.bin/bun scripts/gen-proto.ts`.
// The result is checked in; with --check nothing is written and a difference ends in exit code 1.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const protoDirectory = join(root, 'src/store/embedded/proto')
const genDirectory = join(root, 'src/store/embedded/gen')

function filesUnder(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .toSorted()
}

function generate(outDirectory: string): void {
  const template = {
    version: 'v2',
    plugins: [
      {
        local: join(root, 'node_modules/.bin/protoc-gen-es'),
        out: outDirectory,
        opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'],
      },
    ],
  }
  execFileSync(
    join(root, 'node_modules/.bin/buf'),
    ['generate', protoDirectory, '--template', JSON.stringify(template)],
    { stdio: 'inherit', cwd: root },
  )
}

function difference(have: string, want: string): string | undefined {
  const names = filesUnder(want)
  const stale = filesUnder(have).find((name) => !names.includes(name))
  if (stale !== undefined) return stale
  return names.find(
    (name) =>
      !filesUnder(have).includes(name) ||
      readFileSync(join(have, name), 'utf8') !== readFileSync(join(want, name), 'utf8'),
  )
}

const fresh = mkdtempSync(join(tmpdir(), 'heddle-gen-proto-'))
try {
  generate(fresh)
  if (process.argv.includes('--check')) {
    const changed = difference(genDirectory, fresh)
    if (changed !== undefined) {
      process.stderr.write(
        `src/store/embedded/gen/${changed} isn't what its .proto gives: run scripts/gen-proto.ts\n`,
      )
      process.exitCode = 1
    }
  } else {
    rmSync(genDirectory, { recursive: true, force: true })
    cpSync(fresh, genDirectory, { recursive: true })
  }
} finally {
  rmSync(fresh, { recursive: true, force: true })
}
