// What kube-proxy writes in a cluster of 2,500 services: some 10,000 rules of its own in one go, by iptables-restore or
// by nft.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Host } from '../test/support/segment.ts'

const SERVICES = 2_500
export const RULES = SERVICES * 4

/** One full sync of each kind; the rules of the one before are replaced. `number` is another each time. */
export async function syncRules(host: Host, number: number): Promise<void> {
  const rules = join(host.folder, 'rules')
  writeFileSync(rules, iptablesRules(number))
  await host.sh(`iptables-restore --noflush ${rules}`)
  writeFileSync(rules, nftRules(number))
  await host.sh(`nft -f ${rules}`)
}

interface Service {
  readonly name: string
  readonly ip: string
  readonly endpoint: string
}

const services = (number: number): Service[] =>
  Array.from({ length: SERVICES }, (_, index) => {
    const [high, low] = [index >> 8, index & 255]
    const name = (index + 0x10000).toString(16)
    return { name, ip: `10.96.${high}.${low}`, endpoint: `10.244.${high}.${(low + number) % 256}` }
  })

/** As kube-proxy's mode "iptables": a rule of the service, of its chain and two of its one endpoint's. */
function iptablesRules(number: number): string {
  const all = services(number)
  const chains = all.flatMap(({ name }) => [`:KUBE-SVC-${name} - [0:0]`, `:KUBE-SEP-${name} - [0:0]`])
  const rules = all.flatMap(({ name, ip, endpoint }) => [
    `-A KUBE-SERVICES -d ${ip}/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-${name}`,
    `-A KUBE-SVC-${name} -j KUBE-SEP-${name}`,
    `-A KUBE-SEP-${name} -s ${endpoint}/32 -j MARK --set-xmark 0x4000/0x4000`,
    `-A KUBE-SEP-${name} -p tcp -m tcp -j DNAT --to-destination ${endpoint}:8080`,
  ])
  return ['*nat', ':KUBE-SERVICES - [0:0]', ...chains, ...rules, 'COMMIT', ''].join('\n')
}

/** The same rules in a table of nf_tables. */
function nftRules(number: number): string {
  const all = services(number)
  const chains = all.flatMap(({ name, endpoint }) => [
    `chain endpoint-${name} { ip saddr ${endpoint} meta mark set 0x4000; meta l4proto tcp dnat to ${endpoint}:8080; }`,
    `chain service-${name} { goto endpoint-${name}; }`,
  ])
  const rules = all.map(({ name, ip }) => `ip daddr ${ip} tcp dport 80 goto service-${name}`)
  return [
    'table ip kube-proxy {}',
    'delete table ip kube-proxy',
    'table ip kube-proxy {',
    ...chains,
    'chain services {',
    'type nat hook prerouting priority dstnat',
    ...rules,
    '}',
    '}',
    '',
  ].join('\n')
}
