// Keys of the network config (flannel-compat 2.1, 4) as upstream spells them, and as a JSON conf file has them. Pure.

/** How names are compared in a JSON conf file: `subnetLen`, `SubnetLen` and `subnet-len` are one. */
export const fold = (name: string): string => name.toLowerCase().replaceAll(/[-_]/g, '')

/** Upstream's key, and what it means. */
export const NETWORK_KEYS: readonly (readonly [name: string, help: string])[] = [
  ['Network', 'IPv4 network that hosts lease subnets of, e.g. 10.5.0.0/16'],
  ['SubnetLen', "length of a host's subnet; 24 where the network has room"],
  ['SubnetMin', 'first subnet to lease; the second of the network unless given'],
  ['SubnetMax', 'last subnet to lease; the last of the network unless given'],
  ['EnableIPv4', 'true unless given'],
  ['EnableIPv6', 'false unless given'],
  ['IPv6Network', 'IPv6 network that hosts lease subnets of'],
  ['IPv6SubnetLen', "length of a host's IPv6 subnet; 64 where the network has room"],
  ['IPv6SubnetMin', 'first IPv6 subnet to lease'],
  ['IPv6SubnetMax', 'last IPv6 subnet to lease'],
  ['EnableNFTables', 'rules by nf_tables; false unless given: as --firewall tells'],
  [
    'NonMasqueradeCIDRs',
    'list of networks outside that pods meet with their own addresses; upstream ignores it',
  ],
  ['Backend', 'object with the `type` of the back end and its options'],
]

/** Of every back end; each takes its own and leaves the others. */
export const BACKEND_KEYS: readonly string[] = [
  'Type',
  'VNI',
  'Port',
  'MTU',
  'GBP',
  'Learning',
  'DirectRouting',
  'MacPrefix',
  'Name',
  'ListenPort',
  'ListenPortV6',
  'PSK',
  'PersistentKeepaliveInterval',
  'Mode',
  'UDPEncap',
  'ESPProposal',
  'AccessKeyID',
  'AccessKeySecret',
  'PreStartupCommand',
  'PostStartupCommand',
  'ShutdownCommand',
  'SubnetAddCommand',
  'SubnetRemoveCommand',
]
const SECRETS: readonly string[] = ['PSK', 'AccessKeyID', 'AccessKeySecret']
export const isSecretKey = (key: string): boolean => SECRETS.includes(key)

/** Back ends that have an MTU of their own; the others' is the interface's. */
export const WITH_MTU: readonly string[] = ['vxlan', 'wireguard']

/** As the documentation of the file has it: `subnetLen`, `ipv6Network`, `enableIPv6`, `vni`. */
export const confName = (key: string): string =>
  key.startsWith('IPv6')
    ? `ipv6${key.slice(4)}`
    : key.replace(/^(?:[A-Z]+(?=[A-Z][a-z]|$)|[A-Z])/, (start) => start.toLowerCase())
