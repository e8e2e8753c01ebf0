// /run/flannel/subnet.env: what CNI plugins and Docker read of the lease, upstream's format to the byte
// (flannel-compat 5.1).
import { readFileSync } from 'node:fs'
import { familyOfPrefix, addressAt, lengthOf, parsePrefix, type Prefix } from '../model/prefix.ts'
import { writeFileAtomically } from '../sys/files.ts'

export interface SubnetFile {
  readonly ipv4: { readonly network: Prefix; readonly subnet: Prefix } | undefined
  readonly ipv6: { readonly network: Prefix; readonly subnet: Prefix } | undefined
  readonly mtuBytes: number
  readonly ipMasq: boolean
}

/** The file's text: the host's own address in each subnet is its base + 1. */
export function formatSubnetFile(file: SubnetFile): string {
  const gateway = (subnet: Prefix) => `${addressAt(subnet, 1n)}/${lengthOf(subnet)}`
  const lines: string[] = []
  if (file.ipv4)
    lines.push(`FLANNEL_NETWORK=${file.ipv4.network}`, `FLANNEL_SUBNET=${gateway(file.ipv4.subnet)}`)
  if (file.ipv6)
    lines.push(
      `FLANNEL_IPV6_NETWORK=${file.ipv6.network}`,
      `FLANNEL_IPV6_SUBNET=${gateway(file.ipv6.subnet)}`,
    )
  lines.push(`FLANNEL_MTU=${file.mtuBytes}`, `FLANNEL_IPMASQ=${file.ipMasq}`)
  return `${lines.join('\n')}\n`
}

/** Mode 0644 whatever the umask; readers see the old text or the new one, never half. */
export const writeSubnetFile = (path: string, file: SubnetFile): void =>
  writeFileAtomically(path, formatSubnetFile(file), 0o644)

/** The subnets a previous run wrote: exactly one valid CIDR a family counts, as upstream has it. A missing file tells none. */
export function readPreviousSubnets(path: string): readonly Prefix[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return previousSubnets(text)
}

export function previousSubnets(text: string): readonly Prefix[] {
  const found: Prefix[] = []
  for (const [name, family] of [
    ['FLANNEL_SUBNET', 'ipv4'],
    ['FLANNEL_IPV6_SUBNET', 'ipv6'],
  ] as const) {
    const line = text.split('\n').findLast((l) => l.startsWith(`${name}=`))
    const value =
      line
        ?.slice(name.length + 1)
        .trim()
        .replace(/^(["'])(.*)\1$/, '$2') ?? ''
    const prefixes = value
      .split(',')
      .map((cidr) => parsePrefix(cidr.trim()))
      .filter((p) => p !== undefined)
    if (prefixes.length === 1 && prefixes[0] && familyOfPrefix(prefixes[0]) === family)
      found.push(prefixes[0])
  }
  return found
}
