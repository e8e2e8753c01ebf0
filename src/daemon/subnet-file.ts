// /run/flannel/subnet.env: what CNI plugins and Docker read of the lease, upstream's format to the byte
// (flannel-compat 5.1).
import { readFileSync } from 'node:fs'
import type { Family } from '../model/ip.ts'
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

export interface Previous {
  /** At most one a family. */
  readonly subnets: readonly Prefix[]
  readonly networks: readonly Prefix[]
}

/** What a previous run wrote: of a value that isn't exactly one valid CIDR of its family nothing, as upstream has it. A missing file tells nothing. */
export function readSubnetFile(path: string): Previous {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return { subnets: [], networks: [] }
    throw new Error(`can't read which subnet this host had: ${message}; mend or remove the file`, {
      cause: error,
    })
  }
  return parseSubnetFile(text)
}

export function parseSubnetFile(text: string): Previous {
  const read = (name: string, family: Family): Prefix[] => {
    const line = text.split('\n').findLast((l) => l.startsWith(`${name}=`))
    const value =
      line
        ?.slice(name.length + 1)
        .trim()
        .replace(/^(["'])(.*)\1$/, '$2') ?? ''
    const [only, ...more] = value.split(',').flatMap((cidr) => parsePrefix(cidr.trim()) ?? [])
    return only !== undefined && more.length === 0 && familyOfPrefix(only) === family ? [only] : []
  }
  return {
    subnets: [...read('FLANNEL_SUBNET', 'ipv4'), ...read('FLANNEL_IPV6_SUBNET', 'ipv6')],
    networks: [...read('FLANNEL_NETWORK', 'ipv4'), ...read('FLANNEL_IPV6_NETWORK', 'ipv6')],
  }
}
