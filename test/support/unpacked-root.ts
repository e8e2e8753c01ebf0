// Services of Debian packages that must not be installed here, run for real in the network of a test's host: this
// machine's own files under an overlay in memory, with the packages unpacked into it. All of it goes with its first
// process.
import { execFile } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fetchedPackage } from '../../scripts/debian.ts'
import type { TestHost } from './kernel.ts'
import { eventually, Running } from './process.ts'

/** In a mount namespace of its own; the packages' files are its arguments. */
const BUILD = `
  mount -t tmpfs -o mode=755 tmpfs /mnt; cd /mnt; mkdir upper work root
  mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
  for each; do dpkg-deb --fsys-tarfile "$each" | tar -C root -x --keep-directory-symlink; done
  cd root
  for each in run tmp; do mount -t tmpfs -o mode=755 tmpfs $each; done
  mount -t proc proc proc; mount --rbind /dev dev; mount -t sysfs sysfs sys; mkdir run/dbus
  exec chroot . sh -c 'cd /; echo ready; exec sleep infinity'
`

export class UnpackedRoot implements AsyncDisposable {
  readonly #keeper: Running
  readonly #init: number
  readonly #services: Running[] = []

  private constructor(keeper: Running, init: number) {
    this.#keeper = keeper
    this.#init = init
  }

  static async open({ namespace }: TestHost, packages: readonly string[]): Promise<UnpackedRoot> {
    const files = packages.map(fetchedPackage)
    const spaces = ['--mount', '--pid', '--fork', '--kill-child']
    const keeper = Running.start('unshare', [...spaces, 'sh', '-ec', BUILD, '-', ...files], { namespace })
    await keeper.line(/^ready$/)
    const init = Number(readFileSync(`/proc/${keeper.pid}/task/${keeper.pid}/children`, 'utf8'))
    return new UnpackedRoot(keeper, init)
  }

  #enter(): string[] {
    return [`--target=${this.#init}`, '--mount', '--pid', '--net', '--root', '--wd']
  }

  /** Runs a shell command in it; what it printed, errors too. Throws with that unless it succeeds. */
  sh(command: string): Promise<string> {
    const words = [...this.#enter(), 'sh', '-ec', `exec 2>&1; ${command}`]
    return new Promise((resolve, reject) => {
      execFile('nsenter', words, { timeout: 60_000, killSignal: 'SIGKILL' }, (error, printed) => {
        if (error === null) resolve(printed)
        else reject(new Error(`\`${command}\`: ${error.code ?? error.signal}: ${printed}`, { cause: error }))
      })
    })
  }

  /** A process in it, which ends with it. */
  start(command: string, args: readonly string[] = []): Running {
    const service = Running.start('nsenter', [...this.#enter(), command, ...args])
    this.#services.push(service)
    return service
  }

  /** In `folder`: a command that runs in there by the same name. */
  expose(command: string, folder: string): void {
    const path = join(folder, command)
    writeFileSync(path, `#!/bin/sh\nexec nsenter ${this.#enter().join(' ')} ${command} "$@"\n`)
    chmodSync(path, 0o755)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // With the first process all others end.
    await this.#keeper[Symbol.asyncDispose]()
    for (const service of this.#services) await service.ended
  }
}

const BUS = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*"/><allow own="*"/><allow receive_sender="*"/></policy>
</busconfig>
`

/** A firewalld with a bus of its own, as it is installed: zone public for all. */
export class Firewalld implements AsyncDisposable {
  readonly root: UnpackedRoot
  #daemon: Running

  private constructor(root: UnpackedRoot, daemon: Running) {
    this.root = root
    this.#daemon = daemon
  }

  static async start(host: TestHost): Promise<Firewalld> {
    const root = await UnpackedRoot.open(host, ['python3-firewall', 'firewalld'])
    await root.sh(`cat >/etc/bus.conf <<'END'\n${BUS}END`)
    root.start('dbus-daemon', ['--config-file=/etc/bus.conf', '--nofork', '--nopidfile'])
    await root.sh('until test -S /run/dbus/system_bus_socket; do sleep 0.02; done')
    const firewalld = new Firewalld(root, Firewalld.#launch(root))
    await firewalld.#running()
    return firewalld
  }

  static #launch(root: UnpackedRoot): Running {
    return root.start('firewalld', ['--nofork', '--nopid'])
  }

  async #running(): Promise<void> {
    await eventually(
      `firewalld runs: ${this.#daemon.tail()}`,
      async () => {
        try {
          return await this.cmd('--state')
        } catch (error) {
          if (!this.#daemon.running) throw error
          return undefined
        }
      },
      20,
    )
  }

  /** firewall-cmd with these arguments; what it printed. */
  async cmd(args: string): Promise<string> {
    return (await this.root.sh(`firewall-cmd ${args}`)).trim()
  }

  /** As its unit does. */
  async restart(): Promise<void> {
    // It is another process's child in there, known by its name alone.
    await this.root.sh('kill -TERM $(pidof -x firewalld)')
    await this.#daemon.ended
    this.#daemon = Firewalld.#launch(this.root)
    await this.#running()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.root[Symbol.asyncDispose]()
  }
}
