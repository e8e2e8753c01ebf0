// The paths there are, one a subnet of a peer, and which of them are known to be small. Pure. There may be thousands, and
// most are never looked at: of those nothing is kept but the objects they are made of, which the reconciler has anyway.
import { isDeepStrictEqual } from 'node:util'
import type { KernelObject } from '../model/kernel.ts'
import type { Mac } from '../model/mac.ts'
import { familyOfPrefix, type Prefix } from '../model/prefix.ts'
import { PeerPath } from './peer-path.ts'
import { isSamePath, targetsOf, type Tunnel } from './target.ts'

interface Difference {
  readonly gone: readonly PeerPath[]
  /** To be looked at, or again. */
  readonly anew: readonly PeerPath[]
}
const NONE: Difference = { gone: [], anew: [] }

export class PathBook {
  #tunnels: ReadonlyMap<string, Tunnel> = new Map()
  #interfaceBytes = 0
  /** What another run had found out, of subnets whose peers haven't been named yet. */
  readonly #known: Map<Prefix, number>
  /** What reaches peers whose paths nobody has looked at yet, by who named them, in the order they came. */
  readonly #quiet = new Map<string, readonly KernelObject[]>()
  readonly #bySource = new Map<string, readonly PeerPath[]>()
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

  /** Other tunnels, or others than before by the same names, or another MTU of the interface. */
  begin(tunnels: readonly Tunnel[], interfaceBytes: number): Difference {
    const before = this.#tunnels
    if (tunnels.length === 0) this.#quiet.clear()
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

  /** What reaches one peer, in place of what `source` named before. */
  want(source: string, objects: readonly KernelObject[]): Difference {
    const before = this.#bySource.get(source)
    // What another run had found out is told at once.
    const isKnown = () => objects.some((object) => object.kind === 'route' && this.#known.has(object.to))
    if (before !== undefined || (this.#known.size > 0 && isKnown()))
      return this.#name(source, objects, before ?? [])
    if (this.#tunnels.size > 0 && objects.length > 0) this.#quiet.set(source, objects)
    else this.#quiet.delete(source)
    return NONE
  }

  /** The paths of a peer that nobody has looked at yet, to be looked at from now on; none where there is no such peer. */
  awaken(): readonly PeerPath[] {
    for (const [source, objects] of this.#quiet) {
      const { anew } = this.#name(source, objects, [])
      if (anew.length > 0) return anew
    }
    return []
  }

  #name(source: string, objects: readonly KernelObject[], before: readonly PeerPath[]): Difference {
    this.#quiet.delete(source)
    const gone: PeerPath[] = []
    const anew: PeerPath[] = []
    const paths: PeerPath[] = []
    for (const target of targetsOf(objects)) {
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
    if (paths.length === 0) this.#bySource.delete(source)
    else this.#bySource.set(source, paths)
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

  /** Asked seldom: an index of thousands would cost more. `anew`: those looked at for the first time for its sake. */
  findByMac(device: string, mac: Mac): { readonly path: PeerPath | undefined } & Pick<Difference, 'anew'> {
    const isIt = ({ target }: PeerPath) => target.device === device && target.mac === mac
    const path = this.#bySubnet.values().find(isIt)
    if (path !== undefined) return { path, anew: [] }
    for (const [source, objects] of this.#quiet)
      for (const object of objects)
        if (object.kind === 'fdb' && object.mac === mac && object.link === device) {
          const { anew } = this.#name(source, objects, [])
          return { path: anew.find(isIt), anew }
        }
    return { path: undefined, anew: [] }
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
