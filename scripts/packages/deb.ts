// The Debian package, made by dpkg-deb: every Debian has it, other systems have it in their package `dpkg`.
import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { CONFFILES, contents, DOC, ROOT, type Entry } from './contents.ts'
import { run } from './run.ts'
import { stage } from './stage.ts'

export type Target = 'x64' | 'arm64'
export interface PackageOptions {
  readonly target: Target
  /** As package.json has it: 1.2.3, or 1.2.3-rc.1. */
  readonly version: string
  readonly executable: string
  /** The time of every file in the package: reproducible-builds.org/specs/source-date-epoch. */
  readonly epochSeconds: number
  /** Where the package is put. */
  readonly folder: string
  /** Compresses less, in a tenth of the time. */
  readonly quick: boolean
}

const ARCHITECTURES: Readonly<Record<Target, string>> = { x64: 'amd64', arm64: 'arm64' }
const MAINTAINER = 'heddle maintainers <maintainers@heddle.invalid>'
const NO_DPKG =
  'install it (`apt-get install dpkg`, `dnf install dpkg`, `apk add dpkg`, `pacman -S dpkg`), or make the tarball alone: ' +
  'npm run package -- --only tarball'

/** The file's path. The same options give the same bytes, with one version of dpkg-deb. */
export function buildDeb(options: PackageOptions): string {
  const { version, executable, epochSeconds, folder, quick } = options
  const architecture = ARCHITECTURES[options.target]
  const debianVersion = version.replace('-', '~')
  const file = join(folder, `heddle_${debianVersion}_${architecture}.deb`)
  mkdirSync(folder, { recursive: true })
  const place = mkdtempSync(join(folder, '.deb-'))
  try {
    const entries = [...contents(executable), changelog(debianVersion, epochSeconds), overrides()]
    const fields = { version: debianVersion, architecture, size: sizeKib(entries) }
    stage(join(place, 'root'), [...entries, ...controlFiles(entries, fields)], epochSeconds)
    chmodSync(place, 0o755)
    const made = join(place, 'made.deb')
    const compression = quick ? ['-Zgzip', '-z1'] : ['-Zxz', '-z6']
    const owners = ['--root-owner-group', ...compression]
    run('dpkg-deb', [...owners, '--build', join(place, 'root'), made], NO_DPKG, {
      SOURCE_DATE_EPOCH: `${epochSeconds}`,
    })
    renameSync(made, file)
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
  return file
}

interface Fields {
  readonly version: string
  readonly architecture: string
  readonly size: number
}

/** deb-control(5), deb-conffiles(5), and the maintainer scripts. */
function controlFiles(entries: readonly Entry[], { version, architecture, size }: Fields): readonly Entry[] {
  // glibc 2.17 is the newest whose symbols Bun asks for.
  const control = `Package: heddle
Version: ${version}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${size}
Depends: libc6 (>= 2.17), systemd | systemd-standalone-sysusers | systemd-sysusers
Recommends: iproute2
Suggests: containernetworking-plugins, etcd-server
Conflicts: flannel
Replaces: flannel
Provides: flannel
Section: net
Priority: optional
Description: flat container network for Linux hosts, in place of flannel
 heddle gives every Linux host a slice of one flat container network, as
 flannel does: same flags, keys, files and wire formats, so that it takes over
 from flannel's daemon and CNI plugin, and works beside them in one cluster.
 .
 It keeps what it programmed: devices, routes, neighbours and rules are put
 back when something deletes or alters them.
`
  const sums = entries.flatMap((entry) =>
    'link' in entry || CONFFILES.some((path) => path === entry.path)
      ? []
      : [`${createHash('md5').update(bytesOf(entry)).digest('hex')}  ${entry.path}\n`],
  )
  const script = (name: string): Entry => {
    return { path: `DEBIAN/${name}`, file: join(ROOT, 'packaging', 'debian', name), mode: 0o755 }
  }
  return [
    { path: 'DEBIAN/control', text: control, mode: 0o644 },
    { path: 'DEBIAN/conffiles', text: CONFFILES.map((path) => `/${path}\n`).join(''), mode: 0o644 },
    { path: 'DEBIAN/md5sums', text: sums.join(''), mode: 0o644 },
    ...['postinst', 'prerm', 'postrm'].map(script),
  ]
}

const bytesOf = (entry: Exclude<Entry, { link: string }>): Uint8Array =>
  'file' in entry ? readFileSync(entry.file) : Buffer.from(entry.text)

/** As deb-substvars(5) counts: whole KiB of each file. */
function sizeKib(entries: readonly Entry[]): number {
  const sizes = entries.map((entry) => {
    if ('link' in entry) return 1
    return Math.ceil(('file' in entry ? statSync(entry.file).size : entry.text.length) / 1024)
  })
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** deb-changelog(5): a package without one is none for Debian. */
function changelog(version: string, epochSeconds: number): Entry {
  const date = new Date(epochSeconds * 1000).toUTCString().replace('GMT', '+0000')
  const text = `heddle (${version}) unstable; urgency=medium\n\n  * Version ${version}.\n\n -- ${MAINTAINER}  ${date}\n`
  return { path: `${DOC}/changelog.gz`, text: gzipSync(text, { level: 9 }), mode: 0o644 }
}

const overrides = (): Entry => {
  const file = join(ROOT, 'packaging', 'debian', 'lintian-overrides')
  return { path: 'usr/share/lintian/overrides/heddle', file, mode: 0o644 }
}
