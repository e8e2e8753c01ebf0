// Network namespaces: entered and always left, never leaked, and gone with their last user.
import { expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { thrown } from '../../test/support/values.ts'
import { Namespace } from './namespace.ts'

const here = () => readlinkSync('/proc/thread-self/ns/net')
const descriptors = () => readdirSync('/proc/self/fd').length
const linksInside = () => readFileSync('/proc/thread-self/net/dev', 'utf8').match(/^ *\S+:/gm)

test('a new namespace is another one, with nothing but a loopback; and we are home again', () => {
  const home = here()
  using namespace = Namespace.create()
  expect(here()).toBe(home)
  expect(namespace.run(here)).not.toBe(home)
  expect(namespace.run(linksInside)).toEqual(['    lo:'])
  expect(here()).toBe(home)
})

test('what throws inside is thrown outside, at home', () => {
  const home = here()
  using namespace = Namespace.create()
  const error = thrown(() =>
    namespace.run(() => {
      throw new Error('inside')
    }),
  )
  expect(String(error)).toContain('inside')
  expect(here()).toBe(home)
})

test('namespaces nest, and a promise is refused', () => {
  using a = Namespace.create()
  using b = Namespace.create()
  const [inB, inA] = a.run(() => [b.run(here), here()])
  expect(inB).toBe(b.run(here))
  expect(inA).toBe(a.run(here))
  expect(() => a.run(async () => undefined)).toThrow('synchronous')
})

test('its path serves nsenter and children started inside', () => {
  using namespace = Namespace.create()
  const there = namespace.run(here)
  const nsenter = spawnSync('nsenter', [`--net=${namespace.path}`, 'readlink', '/proc/self/ns/net'])
  expect(String(nsenter.stdout).trim()).toBe(there)
  const child = namespace.run(() => spawnSync('readlink', ['/proc/self/ns/net']))
  expect(String(child.stdout).trim()).toBe(there)
})

test('a named one is opened again by its name until it is removed; a name is taken once', () => {
  const directory = mkdtempSync(join(tmpdir(), 'names-'))
  const path = join(directory, 'deep', 'h1')
  try {
    let there: string
    {
      using made = Namespace.createNamed(path)
      there = made.run(here)
      expect(made.path).toBe(path)
    }
    {
      using opened = Namespace.open(path)
      expect(opened.run(here)).toBe(there)
    }
    expect(thrown(() => Namespace.createNamed(path))).toMatchObject({ code: 'EEXIST' })
    Namespace.remove(path)
    Namespace.remove(path)
    expect(existsSync(path)).toBe(false)
    expect(thrown(() => Namespace.open(path))).toMatchObject({ errnoName: 'ENOENT' })
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('making, entering and disposing leaves no descriptor behind, even where it fails', () => {
  using outer = Namespace.current()
  outer.run(here)
  const before = descriptors()
  for (let i = 0; i < 20; i++) {
    using namespace = Namespace.create()
    namespace.run(here)
    thrown(() => Namespace.createNamed('/proc/nowhere/h1'))
  }
  expect(descriptors()).toBe(before)
})

test('after disposal it is refused by name', () => {
  const namespace = Namespace.create()
  namespace[Symbol.dispose]()
  namespace[Symbol.dispose]()
  expect(() => namespace.run(here)).toThrow('closed already')
})

test('where there would be no way home, making one is refused and not begun', () => {
  const program = `
    const { Namespace } = await import('${import.meta.dirname}/namespace.ts')
    try { Namespace.create() } catch (error) { console.log(error.message) }`
  const done = spawnSync('unshare', ['-Ur', process.execPath, '-e', program], { encoding: 'utf8' })
  expect(done).toMatchObject({ status: 0, stdout: 'setns: EPERM (Operation not permitted)\n' })
})
