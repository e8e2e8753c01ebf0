// `npm run package`: the same bytes whenever and by whomever they are made, each architecture's own executable, and
// what hinders it said.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildDeb, type PackageOptions } from '../../scripts/packages/deb.ts'
import { buildTarball } from '../../scripts/packages/tarball.ts'
import { readOptions, type Parsed } from '../../src/daemon/options.ts'
import { ROOT } from '../support/executable.ts'
import { EPOCH_SECONDS, packageFolder, packageOptions } from '../support/packages.ts'

setDefaultTimeout(60_000)

function sh(script: string, ...args: readonly string[]): string {
  const done = spawnSync('sh', ['-ec', script, 'sh', ...args], { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (done.status !== 0) throw new Error(`\`${script}\` ended with ${done.status}: ${done.stderr}`)
  return done.stdout
}

/** With another umask, in another time zone, from a file with other times. */
function elsewhere<T>(act: () => T): T {
  const umask = process.umask(0o077)
  const zone = process.env['TZ']
  process.env['TZ'] = 'Pacific/Chatham'
  try {
    return act()
  } finally {
    process.umask(umask)
    if (zone === undefined) delete process.env['TZ']
    else process.env['TZ'] = zone
  }
}

describe.each([
  ['the Debian package', buildDeb, 'heddle_1.2.3~rc.1_amd64.deb'],
  ['the tarball', buildTarball, 'heddle-1.2.3-rc.1-linux-x64.tar.gz'],
] as const)('%s', (_, build, name) => {
  test('is made of the same bytes by anyone at any time', () => {
    using folder = packageFolder()
    using other = packageFolder()
    // Any file will do: packaging doesn't look into it.
    const options = { ...packageOptions(folder.path), executable: join(ROOT, 'LICENSE') }
    const first = build(options)
    expect(first).toBe(join(folder.path, name))
    const again = elsewhere(() => build({ ...options, folder: other.path }))
    expect(readFileSync(again).equals(readFileSync(first))).toBe(true)
    expect(sh('ls -A "$1"', folder.path)).toBe(`${name}\n`)
  })
})

/** What a package holds: mode, owner, path and link of each entry, their times left out. */
const listed = (text: string): string[] =>
  text
    .trim()
    .split('\n')
    .map((line) => line.replace(/^(\S+) +(\S+) +\d+ \S+ \S+ (.*)$/, '$1 $2 $3'))

describe('a Debian package', () => {
  test('belongs to root, has the commit’s time, and the architecture’s executable', () => {
    using folder = packageFolder()
    sh('"$1" "$2/scripts/build.ts" --target arm64', process.execPath, ROOT)
    const executable = join(ROOT, 'dist', 'arm64', 'heddle')
    const options: PackageOptions = { ...packageOptions(folder.path, '1.2.3'), target: 'arm64', executable }
    const file = buildDeb(options)
    expect(file).toEndWith('/heddle_1.2.3_arm64.deb')
    const entries = listed(sh('dpkg-deb --contents "$1"', file))
    expect(entries).toContain('-rwxr-xr-x root/root ./usr/bin/heddle')
    expect(entries).toContain('lrwxrwxrwx root/root ./usr/bin/flanneld -> heddle')
    expect(
      entries.filter((entry) => !/^(drwxr-xr-x|-rw[-x]r-[-x]r-[-x]|lrwxrwxrwx) root\/root /.test(entry)),
    ).toEqual([])
    const times = sh('dpkg-deb --fsys-tarfile "$1" | TZ=UTC tar -tv --full-time', file).match(
      /\d{4}-\S+ \S+/g,
    )
    expect(new Set(times)).toEqual(
      new Set([new Date(EPOCH_SECONDS * 1000).toISOString().replace('T', ' ').slice(0, 19)]),
    )
    // elf.h: e_machine is at byte 18; EM_AARCH64 is 183.
    const machine = sh('dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/bin/heddle | od -An -j18 -N2 -tu2', file)
    expect(machine.trim()).toBe('183')
    expect(sh('dpkg-deb --field "$1" Package Version Architecture', file)).toBe(
      'Package: heddle\nVersion: 1.2.3\nArchitecture: arm64\n',
    )
  })
})

describe('npm run package', () => {
  const run = (args: readonly string[], environment: Readonly<Record<string, string>> = {}) => {
    const script = join(ROOT, 'scripts', 'package.ts')
    const done = spawnSync(process.execPath, [script, ...args], {
      encoding: 'utf8',
      cwd: ROOT,
      env: { ...process.env, ...environment },
    })
    return { status: done.status, stderr: done.stderr }
  }
  test.each([
    [['--target', 'mips'], {}, '--target mips is not understood; say --target x64 or arm64'],
    [['--only', 'rpm'], {}, '--only rpm is not understood; say --only deb or tarball'],
    [[], { SOURCE_DATE_EPOCH: 'today' }, 'SOURCE_DATE_EPOCH=today is not a number of seconds since 1970'],
    [[], { PATH: '/nonexistent' }, 'say SOURCE_DATE_EPOCH=SECONDS'],
    [
      ['--only', 'deb', '--target', 'x64'],
      { PATH: '/nonexistent', SOURCE_DATE_EPOCH: '1' },
      'there is no dpkg-deb here: install it',
    ],
  ] as const)('%p in %p is told what is wrong', (args, environment, reason) =>
    expect(run(args, environment)).toEqual({
      status: 1,
      stderr: expect.stringMatching(new RegExp(`^package: .*${reason}`)),
    }),
  )
})

describe('the conf file that is shipped', () => {
  const shipped = join(ROOT, 'packaging', 'conf', 'flanneld.conf')
  const fromFile = (parsed: Parsed) =>
    parsed.kind !== 'options'
      ? [parsed]
      : [...parsed.settings.values()].filter((setting) => setting.origin.kind === 'file')
  test('changes nothing', async () => {
    const parsed = await readOptions([], {}, shipped)
    expect(parsed).toMatchObject({ kind: 'options', notes: [] })
    expect(fromFile(parsed)).toEqual([])
  })
  test('has lines that are right once their # is gone', async () => {
    using folder = packageFolder()
    const lines = readFileSync(shipped, 'utf8').replace(/^#(?=FLANNELD_)/gm, '')
    const file = join(folder.path, 'flanneld.conf')
    await Bun.write(file, lines)
    chmodSync(file, 0o600)
    const parsed = await readOptions([], {}, file)
    expect(parsed).toMatchObject({ kind: 'options', notes: [] })
    const given = lines.match(/^FLANNELD_\w+(?==.)/gm) ?? []
    expect(given.length).toBeGreaterThan(10)
    expect(fromFile(parsed)).toHaveLength(given.length)
  })
})
