// What the CNI plugin answered for a pod, kept beside it: its address, and the links it was given.
import { readFileSync } from 'node:fs'
import { parseIPv4, type IPv4 } from '../model/ip.ts'
import { parseAddressWithLength } from '../model/prefix.ts'
import type { LabDirectory } from './directory.ts'
import type { PodPlan } from './plan.ts'

/** The name of a pod's link inside the pod. */
export const IFNAME = 'eth0'

export interface PodResult {
  readonly ip: IPv4
  readonly gateway: IPv4 | undefined
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

/** The pod's address, if the plugin gave it one. */
export const podAddress = (directory: LabDirectory, pod: PodPlan): IPv4 | undefined =>
  podResult(directory, pod)?.ip

/** CNI specification, section 5; the bridge plugin lists its bridge, the host's end and the pod's, in this order. */
interface CniResult {
  readonly interfaces?: readonly { readonly name?: string }[]
  readonly ips?: readonly { readonly address?: string; readonly gateway?: string }[]
}

/** Undefined for an answer without an IPv4 address, or cut short as by a machine that went down. */
export function parseResult(text: string): PodResult | undefined {
  const result = resultOf(text)
  const [bridge, hostLink] = result?.interfaces ?? []
  for (const { address = '', gateway = '' } of result?.ips ?? []) {
    const ip = parseIPv4(parseAddressWithLength(address)?.ip ?? '')
    if (ip !== undefined && bridge?.name !== undefined && hostLink?.name !== undefined)
      return { ip, gateway: parseIPv4(gateway), hostLink: hostLink.name, bridge: bridge.name }
  }
  return undefined
}

function resultOf(text: string): CniResult | undefined {
  try {
    return JSON.parse(text) as CniResult
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
