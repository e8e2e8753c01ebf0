// The back ends there are. A new one adds its file and its line here, nothing else.
import type { KernelObject } from '../model/kernel.ts'
import type { Json, Lease } from '../model/lease.ts'
import type { Backend, BackendData, Reach, Self, Underlay } from './backend.ts'
import { hostGw } from './host-gw.ts'
import { vxlan } from './vxlan.ts'

/** A back end together with its parsed options: see Backend for what each function means. */
export interface ConfiguredBackend {
  readonly type: string
  refuses(self: Self): string | undefined
  podMtuBytes(self: Self): number
  asksPaths(): boolean
  devices(self: Self): readonly KernelObject[]
  publish(self: Self): BackendData
  unique(data: Json | undefined): string | undefined
  reach(peer: Lease, self: Self, underlay: Underlay): Reach
}

export interface BackendEntry {
  readonly type: string
  /** The back end with the options of the config's Backend object; a sentence if they are bad. */
  configure(backend: { readonly [key: string]: Json }): ConfiguredBackend | string
}

/** Hides the type of the options, which only the back end itself knows. */
const entry = <Options>(backend: Backend<Options>): BackendEntry => ({
  type: backend.type,
  configure(object) {
    const options = backend.parse(object)
    if (typeof options === 'string') return options
    return {
      type: backend.type,
      refuses: (self) => backend.refuses(self, options),
      podMtuBytes: (self) => backend.podMtuBytes(self, options),
      asksPaths: () => backend.asksPaths(options),
      devices: (self) => backend.devices(self, options),
      publish: (self) => backend.publish(self, options),
      unique: (data) => backend.unique(data, options),
      reach: (peer, self, underlay) => backend.reach(peer, self, underlay, options),
    }
  },
})

export const backends: readonly BackendEntry[] = [entry(vxlan), entry(hostGw)]

/** The configured back end of a network config; a sentence if there is none of that type or its options are bad. */
export function configureBackend(
  type: string,
  backend: { readonly [key: string]: Json },
): ConfiguredBackend | string {
  const found = backends.find((candidate) => candidate.type === type)
  return found === undefined
    ? `there is no back end of type ${JSON.stringify(type)}; this build has ${backends.map((b) => b.type).join(', ')}`
    : found.configure(backend)
}
