// Reads subnet.env, the file by which flanneld tells this host's plugin its subnets (flannel-compat 7.2).
import { readFileSync } from 'node:fs'
import { parsePrefix, type Prefix } from '../model/prefix.ts'
import type { Family } from '../model/ip.ts'
import { familyOfPrefix } from '../model/prefix.ts'
import { Code, CniError, messageOf } from './error.ts'

export interface SubnetEnv {
  readonly networks: Readonly<Record<Family, readonly Prefix[]>>
  readonly subnets: Readonly<Record<Family, Prefix | undefined>>
  readonly mtuBytes: number
  /** flanneld masquerades for all pods, so the delegate need not. */
  readonly ipMasq: boolean
}

/** Throws CniError: a file that isn't there, or isn't whole, may be so in a moment (code 11). */
export function readSubnetEnv(path: string): SubnetEnv {
  try {
    return parseSubnetEnv(readFileSync(path, 'utf8'), path)
  } catch (cause) {
    const absent = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    throw new CniError(
      Code.tryAgainLater,
      `failed to load flannel 'subnet.env' file: ${messageOf(cause)}. Check the flannel pod log for this node.`,
      absent
        ? `flanneld writes ${path} once it has a lease: it is not running, still starting, or writes elsewhere (--subnet-file)`
        : `flanneld writes ${path} anew when it restarts`,
      cause,
    )
  }
}

/** Unknown keys are skipped. Throws an Error that names the line, or the keys that are missing. */
export function parseSubnetEnv(text: string, path: string): SubnetEnv {
  const values = new Map<string, string>()
  for (const [index, line] of text.split('\n').entries()) {
    const at = line.indexOf('=')
    const key = at < 0 ? line : line.slice(0, at)
    if (!KEYS.has(key)) continue
    if (at < 0) throw new Error(`${path}:${index + 1}: ${key} has no value`)
    values.set(key, line.slice(at + 1))
  }
  const prefixes = (key: string, family: Family): readonly Prefix[] => {
    const list = (values.get(key) ?? '').split(',').filter((item) => item !== '')
    return [...new Set(list.map((item) => prefixOf(item, key, family, path)))]
  }
  const networks = { ipv4: prefixes(K.network, 'ipv4'), ipv6: prefixes(K.ipv6Network, 'ipv6') }
  const subnets = { ipv4: prefixes(K.subnet, 'ipv4'), ipv6: prefixes(K.ipv6Subnet, 'ipv6') }
  const mtu = values.get(K.mtu)
  const masq = values.get(K.ipMasq)
  const missing: string[] = []
  if (networks.ipv4.length + networks.ipv6.length === 0) missing.push(K.network, K.ipv6Network)
  if (subnets.ipv4.length + subnets.ipv6.length === 0) missing.push(K.subnet, K.ipv6Subnet)
  if (mtu === undefined) missing.push(K.mtu)
  if (masq === undefined) missing.push(K.ipMasq)
  if (mtu === undefined || missing.length > 0) throw new Error(`${path} is missing ${missing.join(', ')}`)
  for (const [key, list] of [
    [K.subnet, subnets.ipv4],
    [K.ipv6Subnet, subnets.ipv6],
  ] as const)
    if (list.length > 1) throw new Error(`${path}: ${key} must be one subnet, not ${list.join(',')}`)
  return {
    networks,
    subnets: { ipv4: subnets.ipv4[0], ipv6: subnets.ipv6[0] },
    mtuBytes: mtuOf(mtu, path),
    ipMasq: masq === 'true',
  }
}

const K = {
  network: 'FLANNEL_NETWORK',
  ipv6Network: 'FLANNEL_IPV6_NETWORK',
  subnet: 'FLANNEL_SUBNET',
  ipv6Subnet: 'FLANNEL_IPV6_SUBNET',
  mtu: 'FLANNEL_MTU',
  ipMasq: 'FLANNEL_IPMASQ',
} as const
const KEYS: ReadonlySet<string> = new Set(Object.values(K))

function prefixOf(text: string, key: string, family: Family, path: string): Prefix {
  const prefix = parsePrefix(text)
  if (prefix !== undefined && familyOfPrefix(prefix) === family) return prefix
  throw new Error(`${path}: ${key}: invalid CIDR address: ${text}`)
}

function mtuOf(text: string, path: string): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN
  if (value <= 0xffffffff) return value
  throw new Error(`${path}: ${K.mtu} must be a number of bytes, not ${JSON.stringify(text)}`)
}
