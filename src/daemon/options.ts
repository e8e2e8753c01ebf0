// The one table of flanneld's options: upstream's flags (flannel-compat 1.1), heddle's own, and those of parts
// not built yet, which are known and refused. Flags beat FLANNELD_* environment beats defaults. Pure.
import { parseIp, parseIPv4 } from '../model/ip.ts'
import { invalid, parseFlagValue, parseGoFlags, type FlagSpec, type FlagValue } from './go-flags.ts'

interface Option extends FlagSpec {
  readonly default: FlagValue
  readonly help: string
  /** Set for parts not built yet: any value but the default is refused with this sentence. */
  readonly refused?: string
  readonly secret?: true
}

const NO_KUBE = 'the Kubernetes API as a store is not built yet; use etcd (--etcd-endpoints)'
const NO_IPV6 = 'IPv6 is not built yet'

export const OPTIONS = [
  {
    name: 'etcd-endpoints',
    type: 'string',
    default: 'http://127.0.0.1:4001,http://127.0.0.1:2379',
    help: 'comma-separated list of etcd endpoints',
  },
  { name: 'etcd-prefix', type: 'string', default: '/coreos.com/network', help: 'etcd prefix' },
  { name: 'etcd-keyfile', type: 'string', default: '', help: 'TLS key of the client' },
  {
    name: 'etcd-certfile',
    type: 'string',
    default: '',
    help: 'TLS certificate of the client',
  },
  {
    name: 'etcd-cafile',
    type: 'string',
    default: '',
    help: 'TLS certificate authority of etcd',
  },
  { name: 'etcd-username', type: 'string', default: '', help: 'etcd user' },
  {
    name: 'etcd-password',
    type: 'string',
    default: '',
    help: 'etcd password',
    secret: true,
  },
  {
    name: 'iface',
    type: 'strings',
    default: [],
    help: 'interface (name or address) for traffic between hosts; repeatable, the first that exists wins',
  },
  {
    name: 'iface-regex',
    type: 'strings',
    default: [],
    help: 'regular expression over addresses, then names of interfaces',
    refused: 'choosing the interface by --iface-regex is not built yet; use --iface or --iface-can-reach',
  },
  {
    name: 'iface-can-reach',
    type: 'string',
    default: '',
    help: 'use the interface that reaches this address',
  },
  {
    name: 'subnet-file',
    type: 'string',
    default: '/run/flannel/subnet.env',
    help: 'file that tells the leased subnet',
  },
  { name: 'public-ip', type: 'string', default: '', help: 'IPv4 address that other hosts use for this one' },
  {
    name: 'public-ipv6',
    type: 'string',
    default: '',
    help: 'IPv6 address that other hosts use for this one',
    refused: NO_IPV6,
  },
  {
    name: 'subnet-lease-renew-margin',
    type: 'int',
    default: 60,
    help: 'minutes before its end at which the lease is renewed (1 to 1439)',
  },
  { name: 'ip-masq', type: 'bool', default: false, help: 'masquerade traffic that leaves the network' },
  {
    name: 'ip-masq-fully-random-disable',
    type: 'bool',
    default: false,
    help: 'masquerade without fully random source ports',
  },
  {
    name: 'kube-subnet-mgr',
    type: 'bool',
    default: false,
    help: 'use the Kubernetes API as the store',
    refused: NO_KUBE,
  },
  { name: 'kube-api-url', type: 'string', default: '', help: 'Kubernetes API server', refused: NO_KUBE },
  {
    name: 'kube-annotation-prefix',
    type: 'string',
    default: 'flannel.alpha.coreos.com',
    help: 'prefix of the node annotations',
    refused: NO_KUBE,
  },
  { name: 'kubeconfig-file', type: 'string', default: '', help: 'kubeconfig', refused: NO_KUBE },
  {
    name: 'net-config-path',
    type: 'string',
    default: '/etc/kube-flannel/net-conf.json',
    help: 'network config of the Kubernetes mode',
    refused: NO_KUBE,
  },
  {
    name: 'set-node-network-unavailable',
    type: 'bool',
    default: true,
    help: 'clear the NetworkUnavailable condition when up (Kubernetes)',
  },
  { name: 'version', type: 'bool', default: false, help: 'print the version and exit' },
  { name: 'healthz-ip', type: 'string', default: '0.0.0.0', help: 'address of the health server' },
  { name: 'healthz-port', type: 'int', default: 0, help: 'port of the health server; 0: none' },
  {
    name: 'iptables-resync',
    type: 'int',
    default: 5,
    help: 'accepted for compatibility: rules are watched, not polled',
  },
  {
    name: 'iptables-forward-rules',
    type: 'bool',
    default: true,
    help: 'accept forwarded traffic of the network',
  },
  {
    name: 'ip-blackhole-route',
    type: 'bool',
    default: false,
    help: 'blackhole route for the own subnet',
    refused: '--ip-blackhole-route is not built yet',
  },
  { name: 'v', type: 'int', default: 0, help: 'verbosity of the log' },
  {
    name: 'vmodule',
    type: 'string',
    default: '',
    help: 'verbosity by file',
    refused: 'verbosity by file is not built: use -v',
  },
  {
    name: 'log_backtrace_at',
    type: 'string',
    default: '',
    help: 'stack trace at a log line',
    refused: 'stack traces at log lines are not built: use -v',
  },
  {
    name: 'store-reset-grace',
    type: 'duration',
    default: 600,
    help: 'how long peers of a store that was wiped or replaced are kept',
  },
  {
    name: 'status-socket',
    type: 'string',
    default: '/run/heddle/flanneld.sock',
    help: 'UNIX socket that tells the status as JSON; empty: none',
  },
] as const satisfies readonly Option[]

type Value<O extends Option> = O['type'] extends 'bool'
  ? boolean
  : O['type'] extends 'int' | 'duration'
    ? number
    : O['type'] extends 'strings'
      ? readonly string[]
      : string
/** Every option by its flag's name. */
export type Options = { readonly [O in (typeof OPTIONS)[number] as O['name']]: Value<O> }

export type Parsed =
  | { readonly kind: 'options'; readonly options: Options; readonly notes: readonly string[] }
  | { readonly kind: 'help' }
  | { readonly kind: 'refused'; readonly reason: string }

export const environmentName = (flag: string): string =>
  `FLANNELD_${flag.toUpperCase().replace(/[-.]/g, '_')}`

/** Options from flags and environment. A bad environment value is a note and leaves the default, as upstream has it. */
export function parseOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Parsed {
  if (args.some((word) => /^--?(h|help)$/.test(word))) return { kind: 'help' }
  const line = parseGoFlags(OPTIONS, args)
  if (typeof line === 'string') return { kind: 'refused', reason: line }
  const { given, unread } = line
  const notes: string[] = []
  if (unread.length > 0)
    notes.push(
      `nothing is read from ${JSON.stringify(unread[0])} on: ${unread.join(' ')} (a boolean flag takes its value only with =)`,
    )
  const values: Record<string, FlagValue> = {}
  for (const option of OPTIONS as readonly Option[]) {
    const name = environmentName(option.name)
    const fromFlag = given.get(option.name)
    const text = environment[name]
    const fromEnvironment = fromFlag === undefined && text ? parseFlagValue(option, text) : undefined
    if (fromFlag === undefined && text && fromEnvironment === undefined)
      notes.push(`${name}: ${invalid(option, option.secret ? '…' : text)}; it is ignored`)
    const value = fromFlag ?? fromEnvironment ?? option.default
    if (option.refused !== undefined && String(value) !== String(option.default))
      return {
        kind: 'refused',
        reason: `${fromFlag === undefined ? name : `-${option.name}`}: ${option.refused}`,
      }
    values[option.name] = value
  }
  const options = values as Options
  const reason = outOfRange(options)
  return reason === undefined ? { kind: 'options', options, notes } : { kind: 'refused', reason }
}

function outOfRange(o: Options): string | undefined {
  const margin = o['subnet-lease-renew-margin']
  if (margin < 1 || margin > 1439)
    return `-subnet-lease-renew-margin ${margin}: a lease lives 1440 minutes; want 1 to 1439`
  if (o['public-ip'] !== '' && parseIPv4(o['public-ip']) === undefined)
    return `-public-ip ${o['public-ip']} is not an IPv4 address`
  if (o['iface-can-reach'] !== '' && parseIp(o['iface-can-reach']) === undefined)
    return `-iface-can-reach ${o['iface-can-reach']} is not an IP address`
  if ((o['etcd-keyfile'] === '') !== (o['etcd-certfile'] === ''))
    return '-etcd-keyfile and -etcd-certfile go together: give both, or neither for TLS without a client certificate'
  const port = o['healthz-port']
  return port < 0 || port > 65535 ? `-healthz-port ${port}: want 0 (none) to 65535` : undefined
}

export function helpText(): string {
  const lines = (OPTIONS as readonly Option[]).map((option) => {
    const shown = option.type === 'bool' ? '' : ` ${option.type === 'strings' ? 'text' : option.type}`
    const unit = option.type === 'duration' ? 's' : ''
    const preset = String(option.default) === '' ? '' : ` (default ${String(option.default)}${unit})`
    return `  -${option.name}${shown}\n    \t${option.help}${preset}${option.refused === undefined ? '' : ' [not built yet]'}`
  })
  return `Usage: flanneld [flags]\n\n${lines.join('\n')}\n\nEvery flag may also be given as FLANNELD_<FLAG> in the environment; flags win.\n`
}

/** Options that differ from their defaults, for the log; secrets are left out. */
export const describeOptions = (options: Options): string =>
  (OPTIONS as readonly Option[])
    .filter((o) => !o.secret && String(options[o.name as keyof Options]) !== String(o.default))
    .map((o) => `-${o.name}=${String(options[o.name as keyof Options])}`)
    .join(' ') || 'all at their defaults'
