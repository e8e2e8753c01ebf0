// The pods' networks of a lab, as --network tells them: one CIDR of each family, joined by a comma. Pure.
import { familyOfPrefix, parsePrefix, type Prefix } from '../model/prefix.ts'

export const IPV4_ALONE = '10.244.0.0/16'
export const DUAL_STACK = `${IPV4_ALONE},fd00:10:244::/48`

/** IPv4 first, whatever the order in the text; a sentence to stand behind the flag's name if it can't be. */
export function parseNetworks(text: string): readonly Prefix[] | string {
  const networks: Prefix[] = []
  for (const part of text.split(',')) {
    const network = parsePrefix(part.trim())
    if (network === undefined)
      return `${text}: ${JSON.stringify(part)} is no network; want a CIDR of each family or of one, such as ${DUAL_STACK}`
    if (networks.some((other) => familyOfPrefix(other) === familyOfPrefix(network)))
      return `${text}: want at most one network of each family, such as ${DUAL_STACK}`
    networks.push(network)
  }
  return networks.toSorted((a, b) => familyOfPrefix(a).localeCompare(familyOfPrefix(b)))
}

export const formatNetworks = (networks: readonly Prefix[]): string => networks.join(',')
