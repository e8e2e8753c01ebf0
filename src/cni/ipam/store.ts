// host-local's directory of a network: one file an address that is given out, `<containerID>\r\n<ifname>` in it, the
// last address given out of each set, and a lock. The stock plugin and this one can share it: both change it under the
// lock only.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseIp, type Ip } from '../../model/ip.ts'
import { lockFile } from '../../sys/lock.ts'

export const DEFAULT_DATA_DIR = '/var/lib/cni/networks'

export interface Owner {
  readonly containerId: string
  /** Undefined in files of old versions, which stood for the container as a whole. */
  readonly ifname: string | undefined
}

export class Store implements Disposable {
  readonly #directory: string
  readonly #lock: Disposable

  /** Holds the network's lock until disposed: others wait. */
  constructor(dataDir: string, network: string) {
    this.#directory = join(dataDir, network)
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 })
    this.#lock = lockFile(join(this.#directory, 'lock'), 0o750)
  }

  /** Who has which address. A file that names nobody is what a call left that was killed in writing it: it goes. */
  entries(): ReadonlyMap<Ip, Owner> {
    const entries = new Map<Ip, Owner>()
    for (const name of readdirSync(this.#directory)) {
      const ip = parseIp(name)
      if (ip === undefined) continue
      const owner = parseOwner(readFileSync(join(this.#directory, name), 'utf8'))
      if (owner.containerId === '') this.release(ip)
      else entries.set(ip, owner)
    }
    return entries
  }

  last(set: number): Ip | undefined {
    try {
      return parseIp(readFileSync(this.#lastPath(set), 'utf8').trim())
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined
      throw error
    }
  }

  /** False if it is given out already. */
  reserve(ip: Ip, owner: Required<Owner>, set: number): boolean {
    const path = join(this.#directory, ip)
    if (existsSync(path)) return false
    // The lock is ours: nobody else is writing.
    const half = join(this.#directory, '.reserving')
    try {
      writeFileSync(half, `${owner.containerId}\r\n${owner.ifname}`, { mode: 0o644 })
      renameSync(half, path)
      writeFileSync(this.#lastPath(set), ip, { mode: 0o644 })
    } catch (error) {
      rmSync(half, { force: true })
      rmSync(path, { force: true })
      throw error
    }
    return true
  }

  release(ip: Ip): void {
    rmSync(join(this.#directory, ip), { force: true })
  }

  #lastPath(set: number): string {
    return join(this.#directory, `last_reserved_ip.${set}`)
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]()
  }
}

function parseOwner(text: string): Owner {
  const [containerId = '', ifname] = text.trim().split(/\r?\n/)
  return { containerId, ifname }
}

const isErrno = (error: unknown, code: string): boolean => (error as NodeJS.ErrnoException).code === code
