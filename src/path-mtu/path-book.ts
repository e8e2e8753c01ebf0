// The paths there are, one a subnet of a peer, and which of them are known to be small. Pure. There may be thousands: of
// each no more is kept than is needed.
import { isDeepStrictEqual } from 'node:util'
import type { Mac } from '../model/mac.ts'
import { familyOfPrefix, type Prefix } from '../model/prefix.ts'
import { PeerPath } from './peer-path.ts'
import { isSamePath, type Target, type Tunnel } from './target.ts'

export class PathBook {
  #tunnels: ReadonlyMap<string, Tunnel> = new Map()
  #interfaceBytes = 0
  /** What another run had found out, of subnets whose peers haven't been named yet. */
  readonly #known: Map<Prefix, number>
  /** Nearly all have one path. */
  readonly #bySource = new Map<string, PeerPath | readonly PeerPath[]>()
  readonly #bySubnet = new Map<Prefix, PeerPath>()
  readonly #small = new Set<PeerPath>()

  constructor(known: ReadonlyMap<Prefix, number> = new Map()) {
    this.#known = new Map(known)
  }

  get interfaceBytes(): number {
    return this.#interfaceBytes
  }
  get hasTunnels(): boolean {
    return this.#tunnels.size > 0
  }
  tunnelOf(path: PeerPath): Tunnel | undefined {
    return this.#tunnels.get(path.target.device)
  }
  get devices(): IteratorObject<string> {
    return this.#tunnels.keys()
  }
  /** Those known to be smaller than the interface. */
  get small(): ReadonlySet<PeerPath> {
    return this.#small
  }
  /** The tunnels that have such paths. */
  smallTunnels(): readonly Tunnel[] {
    const devices = new Set([...this.#small].map(({ target }) => target.device))
    return [...this.#tunnels.values()].filter(({ device }) => devices.has(device))
  }

  /**
   * Other tunnels, or others than before by the same names, or another MTU of the interface. `gone`: paths of tunnels that aren't there any more; `anew`: those
   * to be looked at again.
   */
  begin(
    tunnels: readonly Tunnel[],
    interfaceBytes: number,
  ): { readonly gone: readonly PeerPath[]; readonly anew: readonly PeerPath[] } {
    const before = this.#tunnels
    this.#tunnels = new Map(tunnels.map((tunnel) => [tunnel.device, tunnel]))
    const gone = [...this.#bySubnet.values()].filter(({ target }) => !this.#tunnels.has(target.device))
    for (const path of gone) this.#drop(path)
    const all = [...this.#bySubnet.values()]
    if (interfaceBytes === this.#interfaceBytes) {
      // From another address, or by another port, the way may be another.
      const isMoved = ({ target: { device } }: PeerPath) =>
        !isDeepStrictEqual(before.get(device), this.#tunnels.get(device))
      return { gone, anew: all.filter(isMoved) }
    }
    const least = Math.min(this.#interfaceBytes, interfaceBytes)
    this.#interfaceBytes = interfaceBytes
    for (const path of all)
      // What passed whole says nothing of larger packets.
      this.learn(path, path.isSmall(least) ? path.bytes : undefined)
    return { gone, anew: all }
  }

  /** The ways to one peer, in place of those that `source` named before. */
  want(
    source: string,
    targets: readonly Target[],
  ): { readonly gone: readonly PeerPath[]; readonly anew: readonly PeerPath[] } {
    const found = this.#bySource.get(source) ?? []
    const before = found instanceof PeerPath ? [found] : found
    const gone: PeerPath[] = []
    const anew: PeerPath[] = []
    const paths: PeerPath[] = []
    for (const target of targets) {
      const tunnel = this.#tunnels.get(target.device)
      if (tunnel === undefined) continue
      const there = this.#bySubnet.get(target.subnet)
      if (there?.source === source && isSamePath(there.target, target)) {
        paths.push(there)
        continue
      }
      const path = new PeerPath(source, target)
      // A peer that was here before has moved; what another run knew of it is to be confirmed.
      const known = there === undefined ? this.#known.get(target.subnet) : undefined
      this.#known.delete(target.subnet)
      if (there !== undefined && !before.includes(there)) gone.push(there)
      this.#bySubnet.set(target.subnet, path)
      this.learn(path, known === undefined ? undefined : known + tunnel.overheadBytes)
      anew.push(path)
      paths.push(path)
    }
    for (const path of before) if (!paths.includes(path)) gone.push(path)
    for (const path of gone) this.#drop(path)
    const [only, second] = paths
    if (only === undefined) this.#bySource.delete(source)
    else this.#bySource.set(source, second === undefined ? only : paths)
    return { gone, anew }
  }

  #drop(path: PeerPath): void {
    this.#small.delete(path)
    const { subnet } = path.target
    if (this.#bySubnet.get(subnet) === path) this.#bySubnet.delete(subnet)
  }

  /** The largest outer packet that comes through is so large; undefined: that isn't known. */
  learn(path: PeerPath, bytes: number | undefined): void {
    path.bytes = bytes
    if (path.isSmall(this.#interfaceBytes)) this.#small.add(path)
    else this.#small.delete(path)
  }

  /** Asked seldom: an index of thousands would cost more. */
  findByMac(device: string, mac: Mac): PeerPath | undefined {
    return this.#bySubnet.values().find(({ target }) => target.device === device && target.mac === mac)
  }

  /** What packets to a subnet may have within the tunnel, where that is less than what the interface leaves. */
  mtuBytes(subnet: Prefix): number | undefined {
    const path = this.#bySubnet.get(subnet)
    if (path !== undefined) return this.mtuOf(path)
    const known = this.#known.get(subnet)
    if (known === undefined) return undefined
    const family = familyOfPrefix(subnet)
    const tunnel = this.#tunnels.values().find((each) => each.family === family)
    return tunnel !== undefined && known + tunnel.overheadBytes < this.#interfaceBytes ? known : undefined
  }

  mtuOf(path: PeerPath): number | undefined {
    return path.mtuBytes(this.#interfaceBytes)
  }

  /** The least that any path carries, where that is less than the interface, of the outer packet. */
  leastBytes(): number | undefined {
    let least: number | undefined
    for (const { bytes } of this.#small) if (bytes !== undefined && bytes < (least ?? Infinity)) least = bytes
    return least
  }
}
