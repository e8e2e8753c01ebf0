// A machine of its own, emulated: Debian's kernel with a few programs and a shell script, for what no namespace has to
// itself: modules, limits of the whole machine. It takes 20 s and more; one boot for all there is to see.
import { spawn, spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { guestKernel, type GuestKernel } from '../../scripts/guest-kernel.ts'

export interface GuestOptions {
  /** Absolute paths; each is found by its name in the guest, with the libraries it loads. */
  readonly programs: readonly string[]
  /** Modules that may be loaded, by name; those they need come along. */
  readonly modules: readonly string[]
  /** Run by busybox's sh as root; the machine goes off at its end. */
  readonly script: string
  readonly withinSeconds: number
}

/** All that the script has written. Throws with it if the guest doesn't end in time. */
export async function runGuest({ programs, modules, script, withinSeconds }: GuestOptions): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-guest-'))
  try {
    const kernel = guestKernel()
    const root = join(folder, 'root')
    furnish(root, programs)
    addModules(root, kernel, modules)
    writeFileSync(join(root, 'init'), `${INIT}\n${script}\n)\necho ${LAST} $?\npoweroff -f\n`, {
      mode: 0o755,
    })
    const archive = join(folder, 'initrd')
    const packed = spawnSync('sh', ['-ec', `cd ${root}; find . | cpio -o -H newc --quiet > ${archive}`])
    if (packed.status !== 0) throw new Error(`cpio failed: ${packed.stderr.toString()}`)
    return await boot(kernel, archive, withinSeconds)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const LAST = 'the script ended with'
/** The firmware's last line has no end. */
const INIT = `#!/bin/sh
echo
export PATH=/bin:/sbin
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev; mount -t tmpfs none /run
ip link set lo up
(
set -e`

const APPLETS =
  'sh mount ip sysctl cat echo sleep modprobe poweroff grep kill ls mkdir nc seq wc wget lsmod sed test'.split(
    ' ',
  )

function furnish(root: string, programs: readonly string[]): void {
  for (const name of ['bin', 'sbin', 'proc', 'sys', 'dev', 'run', 'tmp', 'etc', 'var/lib'])
    mkdirSync(join(root, name), { recursive: true })
  cpSync('/bin/busybox', join(root, 'bin/busybox'))
  for (const applet of APPLETS) symlinkSync('busybox', join(root, 'bin', applet))
  // Where the kernel looks for it.
  symlinkSync('/bin/busybox', join(root, 'sbin/modprobe'))
  const copied = new Map<string, string>()
  for (const program of programs) {
    const [file, name] = [realpathSync(program), basename(program)]
    const other = copied.get(file)
    copied.set(file, name)
    if (other !== undefined) {
      symlinkSync(other, join(root, 'bin', name))
      continue
    }
    cpSync(file, join(root, 'bin', name))
    for (const library of librariesOf(program)) {
      mkdirSync(join(root, dirname(library)), { recursive: true })
      cpSync(realpathSync(library), join(root, library))
    }
  }
}

const librariesOf = (program: string): string[] =>
  [...spawnSync('ldd', [program], { encoding: 'utf8' }).stdout.matchAll(/(?:=> |^\s+)(\/\S+)/gm)].map(
    ([, path = '']) => path,
  )

function addModules(root: string, { modules: from, version }: GuestKernel, names: readonly string[]): void {
  const needs = new Map(
    readFileSync(join(from, 'modules.dep'), 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
      .map(([file = '', needed = '']) => [file, needed.trim().split(' ')] as const),
  )
  const to = join(root, 'lib/modules', version)
  const wanted = names.map((name) => {
    const file = [...needs.keys()].find((each) => basename(each) === `${name}.ko`)
    if (file === undefined) throw new Error(`Linux ${version} has no module ${name}`)
    return file
  })
  for (const file of new Set(wanted.flatMap((each) => [each, ...(needs.get(each) ?? [])])))
    if (file !== '') cpSync(join(from, file), join(to, file))
  for (const file of ['modules.dep', 'modules.alias', 'modules.builtin'])
    cpSync(join(from, file), join(to, file))
}

async function boot(kernel: GuestKernel, archive: string, withinSeconds: number): Promise<string> {
  // Bun wants AVX2, which the default processor hasn't got.
  const words = `-cpu max -m 1024 -smp 2 -nographic -no-reboot -nic none -kernel ${kernel.image} -initrd ${archive}`
  const args = [...words.split(' '), '-append', 'console=ttyS0 loglevel=0 panic=-1']
  const machine = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [machine.stdout, machine.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString().replaceAll('\r', '')))
  const timer = setTimeout(() => machine.kill('SIGKILL'), withinSeconds * 1000)
  await new Promise((resolve, reject) => machine.once('close', resolve).once('error', reject))
  clearTimeout(timer)
  if (!text.includes(`${LAST} 0\n`))
    throw new Error(`the guest did not get to the end of its script:\n${text}`)
  return text
}
