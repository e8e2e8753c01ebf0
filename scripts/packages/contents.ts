// What a package puts where: one list for the Debian package and the tarball.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

export const ROOT = join(import.meta.dirname, '..', '..')
const PACKAGING = join(ROOT, 'packaging')

/** A path below `/`, without it; a file has the bytes of `file` or `text`. */
export type Entry = { readonly path: string } & (
  | { readonly file: string; readonly mode: number }
  | { readonly text: string | Uint8Array; readonly mode: number }
  | { readonly link: string }
)

export const DOC = 'usr/share/doc/heddle'
/** What belongs to the administrator once it is there: an upgrade keeps changes, only a purge removes it. */
export const CONFFILES = ['etc/default/heddle-store', 'etc/flannel/flanneld.conf'] as const

export function contents(executable: string): readonly Entry[] {
  const plain = (path: string, from: string): Entry => ({ path, file: join(PACKAGING, from), mode: 0o644 })
  return [
    { path: 'usr/bin/heddle', file: executable, mode: 0o755 },
    { path: 'usr/bin/flanneld', link: 'heddle' },
    // Where Debian's container runtimes look for CNI plugins.
    { path: 'usr/lib/cni/flannel', link: '../../bin/heddle' },
    // Where distributions' packages of flannel have it.
    {
      path: 'usr/libexec/flannel/mk-docker-opts.sh',
      file: join(PACKAGING, 'mk-docker-opts.sh'),
      mode: 0o755,
    },
    plain('etc/flannel/flanneld.conf', 'conf/flanneld.conf'),
    plain('etc/default/heddle-store', 'conf/heddle-store.default'),
    plain('usr/lib/systemd/system/flanneld.service', 'systemd/flanneld.service'),
    plain('usr/lib/systemd/system/heddle-store.service', 'systemd/heddle-store.service'),
    plain('usr/lib/sysusers.d/heddle.conf', 'conf/sysusers.conf'),
    manual('flanneld.8'),
    manual('heddle.1'),
    plain(`${DOC}/examples/10-flannel.conflist`, 'examples/10-flannel.conflist'),
    plain(`${DOC}/examples/docker-flannel.conf`, 'examples/docker-flannel.conf'),
    { path: `${DOC}/README.md`, file: join(ROOT, 'README.md'), mode: 0o644 },
    ...readdirSync(join(ROOT, 'docs')).map((name): Entry => {
      return { path: `${DOC}/docs/${name}`, file: join(ROOT, 'docs', name), mode: 0o644 }
    }),
    { path: `${DOC}/copyright`, text: copyright(), mode: 0o644 },
  ]
}

/** The header has no time of its own. */
function manual(name: string): Entry {
  const text = gzipSync(readFileSync(join(PACKAGING, 'man', name)), { level: 9 })
  return { path: `usr/share/man/man${name.slice(-1)}/${name}.gz`, text, mode: 0o644 }
}

/** Whose work is in the package: ours, Bun's, and that of the npm packages compiled in, with their licenses' texts. */
function copyright(): string {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  const paragraphs = Object.entries(dependencies).map(([name, version]) => {
    const folder = join(ROOT, 'node_modules', name)
    const { license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { license: string }
    const file = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file))
    const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8')
    return `Files: usr/bin/heddle\nComment: npm package ${name} ${version}\nCopyright: its authors\nLicense: ${licenseNames(license)}\n${indented(text)}`
  })
  return [readFileSync(join(PACKAGING, 'debian', 'copyright'), 'utf8'), ...paragraphs].join('\n')
}

/** SPDX's words in Debian's: (Apache-2.0 AND BSD-3-Clause) is `Apache-2.0 and BSD-3-clause`. */
const licenseNames = (spdx: string): string =>
  spdx
    .replace(/[()]/g, '')
    .replace(/\bAND\b/g, 'and')
    .replace(/\bOR\b/g, 'or')
    .replace(/-Clause\b/g, '-clause')
    .replace(/\bMIT\b/g, 'Expat')

/** The text of a field that goes on over several lines: an empty one is a dot. */
const indented = (text: string): string =>
  text
    .trim()
    .split('\n')
    .map((line) => (line.trim() === '' ? ' .\n' : ` ${line.trimEnd()}\n`))
    .join('')
