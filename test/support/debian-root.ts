// A Debian with systemd as its first process, in the network of a test's host: this machine's own files under an
// overlay in memory, which goes with it. Packages are installed and services started there for real.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { TestHost } from './kernel.ts'
import { eventually, Running } from './process.ts'

const QUIET = { DEBIAN_FRONTEND: 'noninteractive', SYSTEMD_COLORS: '0', SYSTEMD_PAGER: '' }

/** What is not taken over from this machine: its services, what may be installed, its indexes, the kernel's audit log. */
const FOREIGN = `
  rm -rf etc/systemd/system/*.wants lib/systemd/system/*.wants usr/sbin/policy-rc.d
  rm -rf etc/flannel etc/default/heddle-store var/lib/heddle var/lib/cni opt/cni var/log/journal
  ln -sf /dev/null etc/systemd/system/systemd-journald-audit.socket
  rm -rf var/lib/man-db/auto-update etc/dpkg/dpkg.cfg.d
`

/** In /tmp, a file system of its own. Nothing done there reaches the machine: /proc/sys and /sys can't be written. */
const BUILD = `
  cd /tmp; mkdir upper work root
  mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root; cd root
  ${FOREIGN}
  mount --bind /mnt mnt; mount --bind ../upper media
  mount -t proc proc proc; mount --bind proc/sys proc/sys; mount -o remount,bind,ro proc/sys
  mount --bind proc/sys/net proc/sys/net; mount -o remount,bind,rw proc/sys/net
  mount -t sysfs -o ro sysfs sys; mount -t cgroup2 cgroup2 sys/fs/cgroup
  for each in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs $each; done; chmod 1777 tmp
  for each in null,1,3 zero,1,5 full,1,7 random,1,8 urandom,1,9 tty,5,0; do
    mknod -m 666 dev/\${each%%,*} c $(echo \${each#*,} | tr , ' ')
  done
  ln -s /proc/self/fd dev/fd; ln -s pts/ptmx dev/ptmx; mkdir dev/shm dev/pts old
  mkdir -p etc/systemd/system/basic.target.wants
  ln -s /lib/systemd/system/systemd-journald.service etc/systemd/system/basic.target.wants/
  printf '[Unit]\\nRequires=basic.target\\nAfter=basic.target\\n' >etc/systemd/system/heddle-test.target
  pivot_root . old; umount -l old; rmdir old
  exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=heddle-test \\
    /lib/systemd/systemd --unit=heddle-test.target --show-status=no
`

/** Its control group is its own, and goes with it; one that a killed test left goes too. */
const KEEP = `
  mount --bind "$2" /mnt; mount -t tmpfs -o mode=755 tmpfs /tmp; mkdir /tmp/groups; mount -t cgroup2 cgroup2 /tmp/groups
  gone() { find $1 -depth -type d -exec rmdir {} + 2>/dev/null; }
  for left in /tmp/groups/heddle-test-*; do test -e /proc/\${left##*-} || gone $left || true; done
  own=/tmp/groups/heddle-test-$$; mkdir $own
  sh -ec 'echo $$ >"$1/cgroup.procs"; shift; exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child sh -ec "$@"' - $own "$1" &
  trap 'kill -KILL $!' TERM
  while kill -0 $! 2>/dev/null; do wait $! || true; done
  for each in 1 2 3 4 5 6 7 8 9; do ! gone $own || break; sleep 0.1; done
`

export interface Outcome {
  readonly status: number | null
  readonly text: string
}

export class DebianRoot implements AsyncDisposable {
  readonly #keeper: Running
  readonly #init: number

  private constructor(keeper: Running, init: number) {
    this.#keeper = keeper
    this.#init = init
  }

  /** Up, with nothing running but the journal. `folder` is its /mnt; /media holds what differs from this machine. */
  static async boot({ namespace }: TestHost, folder: string): Promise<DebianRoot> {
    const keeper = Running.start('unshare', ['--mount', 'sh', '-ec', KEEP, '-', BUILD, folder], { namespace })
    try {
      const init = await eventually('systemd is the first process', () => initOf(keeper), 20)
      const root = new DebianRoot(keeper, init)
      const up = () => root.try('systemctl is-active heddle-test.target').status === 0 || undefined
      await eventually('systemd is up', up, 20)
      return root
    } catch (error) {
      await keeper.end('SIGTERM')
      throw new Error(`no Debian of its own: ${String(error)}\n${keeper.tail()}`, { cause: error })
    }
  }

  /** Runs a shell command in it; output and errors together. */
  try(command: string): Outcome {
    const spaces = ['--mount', '--pid', '--net', '--uts', '--ipc', '--cgroup']
    const words = ['--target', `${this.#init}`, ...spaces, 'sh', '-c', `exec 2>&1; ${command}`]
    const done = spawnSync('nsenter', words, {
      encoding: 'utf8',
      timeout: 120_000,
      killSignal: 'SIGKILL',
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...QUIET },
    })
    return { status: done.status, text: done.stdout }
  }

  /** The same; throws with what it said unless it succeeds. */
  sh(command: string): string {
    const { status, text } = this.try(command)
    if (status !== 0) throw new Error(`\`${command}\` ended with ${status}: ${text}`)
    return text
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keeper.end('SIGTERM')
  }
}

/** Its number outside. */
function initOf(keeper: Running): number | undefined {
  if (!keeper.running) throw new Error('what starts it has ended')
  let pid: number | undefined = keeper.pid
  while (pid !== undefined && textOf(`/proc/${pid}/comm`) !== 'systemd\n')
    pid = Number(textOf(`/proc/${pid}/task/${pid}/children`)?.split(' ')[0]) || undefined
  return pid
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
