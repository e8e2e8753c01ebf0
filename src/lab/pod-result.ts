// What the CNI plugin answered for a pod, kept beside it: its addresses, and the links it was given.
import { readFileSync } from 'node:fs'
import { parseIp, type Ip } from '../model/ip.ts'
import { parseAddressWithLength } from '../model/prefix.ts'
import type { LabDirectory } from './directory.ts'
import type { PodPlan } from './plan.ts'

/** The name of a pod's link inside the pod. */
export const IFNAME = 'eth0'

export interface PodResult {
  /** At least one. */
  readonly ips: readonly { readonly ip: Ip; readonly gateway: Ip | undefined }[]
  /** The host's end of the pod's link. */
  readonly hostLink: string
  readonly bridge: string
}

export const resultFile = (directory: LabDirectory, pod: PodPlan): string =>
  directory.host(pod.host, 'pods', `${pod.name}.json`)

/** Undefined if the plugin gave it none. */
export function podResult(directory: LabDirectory, pod: PodPlan): PodResult | undefined {
  try {
    return parseResult(readFileSync(resultFile(directory, pod), 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** What addresses the plugin gave the pod. */
export const podAddresses = (directory: LabDirectory, pod: PodPlan): readonly Ip[] =>
  podResult(directory, pod)?.ips.map(({ ip }) => ip) ?? []

/** CNI specification, section 5; the bridge plugin lists its bridge, the host's end and the pod's, in this order. */
interface CniResult {
  readonly interfaces?: readonly { readonly name?: string }[]
  readonly ips?: readonly { readonly address?: string; readonly gateway?: string }[]
}

/** Undefined for an answer without an address, or cut short as by a machine that went down. */
export function parseResult(text: string): PodResult | undefined {
  const result = resultOf(text)
  const [bridge, hostLink] = result?.interfaces ?? []
  const ips = (result?.ips ?? []).flatMap(({ address = '', gateway = '' }) => {
    const ip = parseAddressWithLength(address)?.ip
    return ip === undefined ? [] : [{ ip, gateway: parseIp(gateway) }]
  })
  return ips.length > 0 && bridge?.name !== undefined && hostLink?.name !== undefined
    ? { ips, hostLink: hostLink.name, bridge: bridge.name }
    : undefined
}

function resultOf(text: string): CniResult | undefined {
  try {
    return JSON.parse(text) as CniResult
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
