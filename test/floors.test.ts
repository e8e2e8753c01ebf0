// Imports point down: a room imports only rooms of lower floors, never one of its own floor. Only sys/ opens the
// door to C.
import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

const FLOORS: readonly (readonly string[])[] = [
  ['model'],
  ['sys'],
  ['netlink', 'xtables'],
  ['store', 'backend', 'policy', 'dataplane', 'host', 'path-mtu', 'offload', 'firewall', 'bgp', 'cloud'],
  ['status', 'doctor', 'cni'],
  ['daemon', 'cli', 'lab', 'main.ts'],
]
/** `main.ts` and cli lead to the others of their floor, lazily; back ends see the model alone. */
const EXCEPTIONS: ReadonlySet<string> = new Set([
  'main.ts → daemon',
  'main.ts → cli',
  'cli → lab',
  'cli → daemon',
])
const NARROWER: Readonly<Record<string, readonly string[]>> = { backend: ['model'] }

const src = join(import.meta.dirname, '..', 'src')
const roomOf = (file: string): string => relative(src, file).split('/')[0] ?? ''
const floorOf = (room: string): number => FLOORS.findIndex((rooms) => rooms.includes(room))
const sources = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => join(src, name))
const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)|(?:^|\n)\s*import\s*['"]([^'"]+)['"]/g
const importsOf = (file: string): string[] =>
  [...readFileSync(file, 'utf8').matchAll(IMPORT)].map((m) => m[1] ?? m[2] ?? m[3] ?? '')

/** The files that one leads to by its imports, itself first, and the packages they import. */
function reachedFrom(entry: string): { files: readonly string[]; packages: ReadonlySet<string> } {
  const files = new Set([entry])
  const packages = new Set<string>()
  for (const file of files)
    for (const to of importsOf(file))
      if (!to.startsWith('.')) packages.add(to)
      else if (to.endsWith('.ts')) files.add(join(dirname(file), to))
  return { files: [...files], packages }
}

function violations(file: string, imported: string): string | undefined {
  if (!imported.startsWith('.')) return undefined
  const [from, to] = [roomOf(file), roomOf(join(dirname(file), imported))]
  if (to === '..') return imported.endsWith('/package.json') ? undefined : `${imported} lies outside src/`
  if (from === to || EXCEPTIONS.has(`${from} → ${to}`)) return undefined
  const narrower = NARROWER[from]
  if (narrower && !narrower.includes(to)) return `${from} may import ${narrower.join(', ')} only, not ${to}`
  if (floorOf(to) < 0 || floorOf(from) < 0) return `${floorOf(to) < 0 ? to : from} is on no floor`
  return floorOf(to) < floorOf(from)
    ? undefined
    : `${from} (floor ${floorOf(from)}) may not import ${to} (floor ${floorOf(to)})`
}

describe('the house', () => {
  test('has sources to look at', () => expect(sources.length).toBeGreaterThan(20))

  test('imports point down', () => {
    const found = sources
      .filter((file) => !file.endsWith('.test.ts'))
      .flatMap((file) =>
        importsOf(file)
          .map((to) => violations(file, to))
          .filter(Boolean)
          .map((why) => `${relative(src, file)}: ${why}`),
      )
    expect(found).toEqual([])
  })

  test('an upward import would be found', () => {
    expect(violations(join(src, 'model', 'ip.ts'), '../sys/libc.ts')).toContain('floor')
    expect(violations(join(src, 'store', 'store.ts'), '../backend/list.ts')).toContain('floor')
    expect(violations(join(src, 'backend', 'vxlan.ts'), '../sys/log.ts')).toContain('model')
    expect(violations(join(src, 'netlink', 'link.ts'), '../model/ip.ts')).toBeUndefined()
  })

  test('only sys/ touches the runtime behind node:', () => {
    const found = sources
      .filter((file) => roomOf(file) !== 'sys' && !file.endsWith('.test.ts'))
      .filter((file) => /\bBun\.|from 'bun(:[a-z]+)?'/.test(readFileSync(file, 'utf8')))
    expect(found.map((file) => relative(src, file))).toEqual([])
  })

  test('flanneld loads no protobuf, which would cost each start more than 10 ms', () => {
    const { files, packages } = reachedFrom(join(src, 'daemon', 'main.ts'))
    expect(files).toContain(join(src, 'store', 'etcd', 'responses.ts'))
    expect(files.filter((file) => file.includes('/gen/'))).toEqual([])
    expect([...packages].filter((name) => name.startsWith('@bufbuild'))).toEqual([])
    const server = reachedFrom(join(src, 'store', 'embedded', 'main.ts'))
    expect(server.packages).toContain('@bufbuild/protobuf')
  })

  test('every file says in its first line what it is for', () => {
    const found = sources.filter(
      (file) => !file.includes('/gen/') && !/^(\/\/|\/\*)/.test(readFileSync(file, 'utf8')),
    )
    expect(found.map((file) => relative(src, file))).toEqual([])
  })
})
