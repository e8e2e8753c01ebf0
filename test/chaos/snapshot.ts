// All that a host's kernel tables hold, each object a line of text: what is compared, and what a failure shows.
import type { Shell } from '../support/shell.ts'

type Fields = Readonly<Record<string, unknown>>
export type Kind = 'link' | 'address' | 'route' | 'neighbour' | 'fdb' | 'nexthop' | 'rule' | 'table'

export interface Item {
  readonly kind: Kind
  /** As the tools print it in JSON, what passes left out. */
  readonly fields: Fields
  readonly line: string
}

/** Ids that heddle gives to nexthops: which one is nobody's concern. */
const isOwnId = (id: unknown): boolean => Number(id) >= 0x68_000_000 && Number(id) < 0x69_000_000

const MOST_TRIES = 20
const READ = `
ip -json -details address show
ip -json -details -4 route show table all
ip -json -details -6 route show table all
ip -json neighbour show nud permanent
ip -json nexthop show
ip -json rule show
ip -json -6 rule show
bridge -json fdb show
echo '"tables"'
nft list ruleset
`

export async function snapshot(shell: Shell): Promise<readonly Item[]> {
  for (let tries = 1; ; tries++)
    try {
      return itemsIn(await shell.run(READ))
    } catch (error) {
      // A dump that changes interrupt is no dump, and links may go while they are read.
      if (tries === MOST_TRIES) throw error
    }
}

function itemsIn(output: string): Item[] {
  const [head = '', tables = ''] = output.split('"tables"\n')
  const lists = head
    .split('\n')
    .filter((text) => text.trim() !== '')
    .map((text) => JSON.parse(text) as Fields[])
  const [
    addresses = [],
    routes4 = [],
    routes6 = [],
    neighbours = [],
    nexthops = [],
    rules4 = [],
    rules6 = [],
  ] = lists
  const routes = [...routes4, ...routes6]
  return [
    ...addresses.flatMap((link) => [linkItem(link), ...addressItems(link)]),
    ...routes.map((route) => item('route', routeFields(route))),
    ...neighbours.map(({ state: _state, ...rest }) => item('neighbour', rest)),
    ...nexthops.map(({ id, ...rest }) =>
      item('nexthop', { ...(isOwnId(id) && isOurs(rest) ? {} : { id }), ...rest }),
    ),
    ...[...rules4, ...rules6].map((rule) => item('rule', rule)),
    ...(lists[7] ?? []).map(({ state: _state, ...rest }) => item('fdb', rest)),
    ...tables
      .split(/^(?=table )/m)
      .filter((text) => text.trim() !== '')
      .map((text) =>
        item('table', {
          name: /^table (\S+ \S+)/.exec(text)?.[1],
          text: text.replaceAll(/\s+/g, ' ').trim(),
        }),
      ),
  ]
}

const isOurs = (nexthop: Fields): boolean => nexthop['protocol'] === '104'

export function item(kind: Kind, fields: Fields): Item {
  const words = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
  return { kind, fields, line: `${kind} ${words.join(' ')}` }
}

function linkItem({ ifindex, ifname, mtu, address, flags, linkinfo }: Fields): Item {
  const { info_kind: type, info_data: data } = (linkinfo ?? {}) as Fields
  // A bridge's data are timers that run; a vxlan's are its options.
  const options = type === 'vxlan' ? (data as Fields) : {}
  const up = (flags as readonly string[]).includes('UP')
  const index = String(ifname).startsWith('flannel') ? {} : { index: ifindex }
  return item('link', { name: ifname, ...index, type, mtu, mac: address, up, ...options })
}

const addressItems = ({ ifname, addr_info: list }: Fields): Item[] =>
  (list as readonly Fields[]).map(({ local, prefixlen, scope }) =>
    item('address', { dev: ifname, ip: `${String(local)}/${String(prefixlen)}`, scope }),
  )

/** What a nexthop object says again is left out. */
function routeFields({ nhid, flags, pref: _pref, nh_info: _info, ...rest }: Fields): Fields {
  const lasting = (flags as readonly string[]).filter((flag) => flag !== 'linkdown' && flag !== 'dead')
  return { ...rest, nhid: isOwnId(nhid) ? 'ours' : nhid, flags: lasting.join(',') || undefined }
}
