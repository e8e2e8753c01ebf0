// The CNI plugin's part of an uninstall: the pods' bridge and what is kept of pods, once there are none. While there
// are, all of it stays: their DEL needs it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { parseIp, type Ip } from '../../model/ip.ts'
import { addressAt, containsIp, overlaps, parsePrefix, type Prefix } from '../../model/prefix.ts'
import type { LinkInfo } from '../../netlink/link.ts'
import { entries, removeFile } from './files.ts'
import { item, type Part } from './item.ts'

/** Where CNI plugins keep what they know of pods unless their network says otherwise (flannel-compat 7.4). */
export interface CniFolders {
  readonly state: string
  readonly networks: string
}
export const CNI_FOLDERS: CniFolders = { state: '/var/lib/cni/flannel', networks: '/var/lib/cni/networks' }

/** The delegate's unless its config says otherwise. */
const BRIDGE = 'cni0'

export interface CniView {
  readonly links: readonly LinkInfo[]
  readonly addresses: readonly { readonly linkIndex: number; readonly ip: Ip }[]
  /** Leased to this host. */
  readonly subnets: readonly Prefix[]
}

/** A bridge is ours if it is called cni0 and has the first address of our subnet: Docker's may have that too. */
export function cniPart(
  { links, addresses, subnets }: CniView,
  removeBridge: (name: string) => void,
  folders = CNI_FOLDERS,
): Part {
  const states = entries(folders.state)
    .map((name) => join(folders.state, name))
    .flatMap((path) => {
      const delegate = delegateOf(path)
      const isOurs = delegate?.subnets.some((theirs) => subnets.some((ours) => overlaps(ours, theirs)))
      return isOurs === true ? [{ path, ...delegate }] : []
    })
  const gateways = new Set<Ip>(subnets.map((subnet) => addressAt(subnet, 1n)))
  const withGateway = links.filter(
    ({ type, index }) =>
      type === 'bridge' && addresses.some((a) => a.linkIndex === index && gateways.has(a.ip)),
  )
  const named = new Set([BRIDGE, ...states.map(({ bridge }) => bridge)])
  const pods = (bridge: LinkInfo) => links.filter(({ master }) => master === bridge.index).length
  const inUse = links.filter((l) => l.type === 'bridge' && named.has(l.name) && pods(l) > 0)
  const bridges = withGateway.filter((l) => l.name === BRIDGE && pods(l) === 0)
  const left = [
    ...inUse.map(
      (l) =>
        `bridge ${l.name} and the CNI plugin's state: ${podsText(pods(l))}, and their end needs them (afterwards: ip link del ${l.name})`,
    ),
    ...links
      .filter((l) => l.type === 'bridge' && (l.name === BRIDGE || withGateway.includes(l)))
      .filter((l) => !inUse.includes(l) && !bridges.includes(l))
      .map((l) => `bridge ${l.name}: whether it was made for pods can't be told (ip link del ${l.name})`),
  ]
  if (inUse.length > 0) return { items: [], left }
  const items = bridges.map(({ name }) => item(`bridge ${name}`, () => removeBridge(name)))
  const elsewhere = states.filter(({ type }) => type !== 'bridge').length
  if (elsewhere > 0)
    return {
      items,
      left: [...left, `${folders.state}: ${elsewhere} of its pods are on no bridge, and may still be there`],
    }
  const files = [...states.map(({ path }) => path), ...addressFiles(folders.networks, subnets)]
  return { items: [...items, ...files.map((path) => item(`file ${path}`, () => removeFile(path)))], left }
}

const podsText = (count: number): string => (count === 1 ? 'a pod is on it' : `${count} pods are on it`)

interface Delegate {
  readonly type: string
  readonly bridge: string
  readonly subnets: readonly Prefix[]
}

/** What the plugin wrote of a pod's delegate; undefined for what it didn't. */
function delegateOf(path: string): Delegate | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== undefined) return undefined
    throw error
  }
  const parsed = v.safeParse(delegateSchema, jsonOf(text))
  if (!parsed.success) return undefined
  const { type, bridge, ipam } = parsed.output
  return { type, bridge, subnets: ipam.ranges.flat().flatMap(({ subnet }) => parsePrefix(subnet) ?? []) }
}

const delegateSchema = v.object({
  type: v.optional(v.string(), 'bridge'),
  bridge: v.optional(v.string(), BRIDGE),
  ipam: v.object({ ranges: v.array(v.array(v.object({ subnet: v.string() }))) }),
})

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** host-local's: a file an address; with the last of them go its notes. A network with others' addresses keeps those. */
function addressFiles(networks: string, subnets: readonly Prefix[]): string[] {
  const isOurs = (text: string) => {
    const ip = parseIp(text.trim())
    return ip !== undefined && subnets.some((subnet) => containsIp(subnet, ip))
  }
  const files: string[] = []
  for (const network of entries(networks)) {
    const names = entries(join(networks, network))
    const addresses = names.filter((name) => parseIp(name) !== undefined)
    const ours = addresses.filter(isOurs)
    const notes = names.filter((name) => /^last_reserved_ip\.\d+$/.test(name))
    const isWholly = ours.length === addresses.length
    const noted = notes.some((name) => isOurs(readFileSync(join(networks, network, name), 'utf8')))
    const all = isWholly && (ours.length > 0 || noted) ? names : ours
    files.push(...all.map((name) => join(networks, network, name)))
  }
  return files
}
