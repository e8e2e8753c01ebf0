// The tarball for hosts that aren't Debian's kin: the Debian package's files below one folder, to be copied to `/`.
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { contents, ROOT } from './contents.ts'
import { run } from './run.ts'
import { stage } from './stage.ts'
import type { PackageOptions } from './deb.ts'

/** The file's path. The same options give the same bytes. */
export function buildTarball({
  target,
  version,
  executable,
  epochSeconds,
  folder,
  quick,
}: PackageOptions): string {
  const name = `heddle-${version}-linux-${target}`
  const file = join(folder, `${name}.tar.gz`)
  mkdirSync(folder, { recursive: true })
  const place = mkdtempSync(join(folder, '.tarball-'))
  try {
    const top = ['README.md', 'LICENSE'].map((name) => ({ path: name, file: join(ROOT, name), mode: 0o644 }))
    stage(join(place, name), [...contents(executable), ...top], epochSeconds)
    const made = join(place, 'made')
    // In an order, with owners, times and a header of its own, none of which is this machine's.
    const order = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', `--mtime=@${epochSeconds}`]
    const zip = `--use-compress-program=gzip -n -${quick ? 1 : 9}`
    run('tar', ['--format=gnu', ...order, zip, '-cf', made, '-C', place, name], 'install GNU tar and gzip')
    renameSync(made, file)
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
  return file
}
