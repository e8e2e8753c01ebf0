// Kernel objects in the words of ip(8), bridge(8) and nft(8), and what of one is not as it should be. Pure.
import { placeOf, toolName } from '../../dataplane/carriers/iptables-place.ts'
import type { IptablesChain, KernelObject, Link, NftTable, Route } from '../../model/kernel.ts'
import { ROUTE_PROTOCOL, type Sysctl } from '../../model/kernel.ts'
import { settingName } from '../../sys/sysctl.ts'

/** One property of an object, as it should be and as the kernel has it. */
export interface Difference {
  readonly field: string
  readonly want: string
  readonly have: string
}

/** As `ip` would show it, its command's noun in front. */
export function objectText(object: KernelObject): string {
  switch (object.kind) {
    case 'link':
      return `link ${object.name} ${linkFields(object)
        .map(([field, value]) => (SPEAKING.has(field) ? value : `${field} ${value}`))
        .join(' ')}`
    case 'address':
      return `address ${object.ip}/${object.length} dev ${object.link}`
    case 'route':
      return `route ${object.to} via ${object.via} dev ${object.link}${object.onLink ? ' onlink' : ''}${object.metric === undefined ? '' : ` metric ${object.metric}`}`
    case 'neighbour':
      return `neigh ${object.ip} dev ${object.link} lladdr ${object.mac}`
    case 'fdb':
      return `fdb ${object.mac} dev ${object.link} dst ${object.dst}`
    case 'nexthop':
      return `nexthop via ${object.via} dev ${object.link}${object.onLink ? ' onlink' : ''}`
    case 'nft-table':
      return `table ${object.family === 'ipv4' ? 'ip' : 'ip6'} ${object.name}`
    case 'iptables-chain':
      return chainName(object)
    case 'sysctl':
      return `sysctl ${settingName(object.name)} ${settingText(object)}`
    default:
      return `${object.kind} ${object.to}`
  }
}

const chainName = (place: Parameters<typeof toolName>[0] & Pick<IptablesChain, 'table' | 'name'>): string =>
  `chain ${place.name} of ${toolName(place)} -t ${place.table}`

/** What a person would call it. */
export function objectName(object: KernelObject): string {
  switch (object.kind) {
    case 'link':
      return `link ${object.name}`
    case 'route':
      return `route ${object.to}`
    case 'neighbour':
      return `neigh ${object.ip} dev ${object.link}`
    case 'fdb':
      return `fdb ${object.mac} dev ${object.link}`
    case 'nexthop':
      return `nexthop via ${object.via} dev ${object.link}`
    case 'sysctl':
      return `sysctl ${settingName(object.name)}`
    default:
      return objectText(object)
  }
}

/** The same by kind and key, where the object itself is gone. */
export function keyName(kind: string, key: string): string {
  const [first = '', second = '', third = ''] = key.split('|')
  switch (kind) {
    case 'address':
    case 'fdb':
      return `${kind} ${second} dev ${first}`
    case 'neighbour':
      return `neigh ${second} dev ${first}`
    case 'nexthop':
      return `nexthop via ${second} dev ${third}`
    case 'nft-table':
      return `table ${key.replace(/^ipv4 /, 'ip ').replace(/^ipv6 /, 'ip6 ')}`
    case 'iptables-chain':
      return chainName(placeOf(key))
    case 'sysctl':
      return `sysctl ${settingName(key)}`
    default:
      return `${kind} ${key}`
  }
}

/** Whose values say by themselves what they are. */
const SPEAKING: ReadonlySet<string> = new Set(['state', 'learning', 'gbp'])

type Field = readonly [field: string, value: string]

const linkFields = ({ up, mac, mtuBytes, vxlan, checksumOffload }: Link): Field[] => [
  ['state', up ? 'up' : 'down'],
  ['mtu', `${mtuBytes}`],
  ['address', mac],
  ['vxlan id', `${vxlan.vni}`],
  ['local', vxlan.local],
  ['dev', vxlan.underlay],
  ['dstport', `${vxlan.port}`],
  ['learning', vxlan.learning ? 'learning' : 'nolearning'],
  ...(vxlan.gbp ? [['gbp', 'gbp'] as const] : []),
  ...(checksumOffload === undefined ? [] : [['tx-checksumming', checksumOffload ? 'on' : 'off'] as const]),
]

const routeFields = ({ via, link, onLink, through, mtuBytes, protocol, metric }: Route): Field[] => [
  ['via', via],
  ['dev', link],
  ['onlink', onLink ? 'onlink' : 'not onlink'],
  ['nhid', through === 'nexthop' ? 'a nexthop object' : 'none'],
  ['mtu', mtuBytes === undefined ? "the link's" : `${mtuBytes}`],
  ['proto', `${protocol ?? ROUTE_PROTOCOL}`],
  ['metric', metric === undefined ? 'the usual' : `${metric}`],
]

const tableFields = ({ chains }: NftTable): Field[] =>
  chains.map(({ name, hook, rules, clamps }) => [`chain ${name}`, JSON.stringify([hook, rules, clamps])])

const chainFields = ({ name, rules, jump }: IptablesChain): Field[] => [
  [`chain ${name}`, JSON.stringify(rules)],
  [`jump in ${jump.from}`, jump.rule],
]

function fieldsOf(object: KernelObject): Field[] {
  switch (object.kind) {
    case 'link':
      return linkFields(object)
    case 'route':
      return routeFields(object)
    case 'neighbour':
      return [['lladdr', object.mac]]
    case 'fdb':
      return [['dst', object.dst]]
    case 'nexthop':
      return [['onlink', object.onLink ? 'onlink' : 'not onlink']]
    case 'nft-table':
      return tableFields(object)
    case 'iptables-chain':
      return chainFields(object)
    case 'sysctl':
      return [['value', settingText(object)]]
    default:
      return []
  }
}

const settingText = ({ value, fine }: Sysctl): string => `${fine === 'greater' ? '>=' : '='} ${value}`

/** What of two objects with the same key isn't alike. */
export function differences(want: KernelObject, have: KernelObject): Difference[] {
  const [wanted, there] = [new Map(fieldsOf(want)), new Map(fieldsOf(likened(want, have)))]
  const fields = new Set([...wanted.keys(), ...there.keys()])
  const differing = [...fields].filter((field) => wanted.get(field) !== there.get(field))
  const more = [
    'unrecognised' in have ? have.unrecognised : undefined,
    'altered' in have ? have.altered : undefined,
    'awry' in have ? have.awry : undefined,
  ].filter((text) => text !== undefined)
  return [
    ...differing.map((field) => ({
      field,
      want: shown(field, wanted.get(field)),
      have: shown(field, there.get(field), wanted.has(field)),
    })),
    ...more.map((text) => ({ field: 'more', want: 'none', have: text })),
  ]
}

/** What the kernel has, without what a link may have either way, and with what is usual spelt out. */
function likened(want: KernelObject, have: KernelObject): KernelObject {
  if (want.kind !== 'link' || have.kind !== 'link') return have
  const { checksumOffload, ...rest } = have
  return want.checksumOffload === undefined ? rest : { ...rest, checksumOffload: checksumOffload ?? true }
}

/** The rules of a chain are too long to show: `nft list table` does. */
function shown(field: string, value: string | undefined, isOther = false): string {
  if (value === undefined) return 'none'
  return field.startsWith('chain ') ? (isOther ? 'other rules' : 'its rules') : value
}
