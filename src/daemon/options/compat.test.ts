// One test a row of flannel-compat 1.1 (flags) and 1.2 (environment). test/daemon/flags.test.ts has 1.3, and holds the
// table against upstream's own --help.
import { describe, expect, test } from 'bun:test'
import { readOptions } from '../options.ts'
import type { FlagValue } from './go-values.ts'
import { environmentName } from './option.ts'
import { OPTIONS } from './table.ts'

/** Name, default, a text, what it is read as. A sentence in place of that: what refuses the text. */
type Row = readonly [name: string, preset: FlagValue, text: string, value: FlagValue | { refused: string }]
const NO_KUBE = { refused: 'Kubernetes API' }
const FLAGS: readonly Row[] = [
  ['etcd-endpoints', 'http://127.0.0.1:4001,http://127.0.0.1:2379', 'https://a:1,b:2', 'https://a:1,b:2'],
  ['etcd-prefix', '/coreos.com/network', '/p', '/p'],
  ['etcd-keyfile', '', '/key', { refused: 'goes together with --etcd-certfile' }],
  ['etcd-certfile', '', '/cert', { refused: 'goes together with --etcd-keyfile' }],
  ['etcd-cafile', '', '/ca', '/ca'],
  ['etcd-username', '', 'u', 'u'],
  ['etcd-password', '', 'p', 'p'],
  ['iface', [], 'eth0', ['eth0']],
  ['iface-regex', [], 'eth.*', ['eth.*']],
  ['iface-can-reach', '', '192.0.2.1', '192.0.2.1'],
  ['subnet-file', '/run/flannel/subnet.env', '/x', '/x'],
  ['public-ip', '', '192.0.2.1', '192.0.2.1'],
  ['public-ipv6', '', '2001:db8::1', '2001:db8::1'],
  ['subnet-lease-renew-margin', 60, '1439', 1439],
  ['ip-masq', false, 'true', true],
  ['ip-masq-fully-random-disable', false, 'true', true],
  ['kube-subnet-mgr', false, 'true', NO_KUBE],
  ['kube-api-url', '', 'https://a', NO_KUBE],
  ['kube-annotation-prefix', 'flannel.alpha.coreos.com', 'a.b', NO_KUBE],
  ['kubeconfig-file', '', '/k', NO_KUBE],
  ['healthz-ip', '0.0.0.0', '127.0.0.1', '127.0.0.1'],
  ['healthz-port', 0, '8471', 8471],
  ['iptables-resync', 5, '9', 9],
  ['iptables-forward-rules', true, 'false', false],
  ['ip-blackhole-route', false, 'true', true],
  ['net-config-path', '/etc/kube-flannel/net-conf.json', '/n', NO_KUBE],
  ['set-node-network-unavailable', true, 'false', false],
  ['v', 0, '4', 4],
  ['vmodule', '', 'a=1,b*=2', 'a=1,b*=2'],
  ['log_backtrace_at', '', 'main.go:300', 'main.go:300'],
]

const valueOf = async (name: string, args: readonly string[], environment = {}): Promise<unknown> => {
  const parsed = await readOptions(args, environment)
  if (parsed.kind === 'refused') return { refused: parsed.reason }
  return parsed.kind === 'options' ? parsed.settings.get(name)?.value : parsed.kind
}

describe('flannel-compat 1.1:', () => {
  for (const [name, preset, text, value] of FLAGS) {
    const expected =
      typeof value === 'object' && 'refused' in value
        ? { refused: expect.stringContaining(value.refused) }
        : value
    const forms = [[`-${name}=${text}`], [`--${name}=${text}`]]
    if (typeof preset !== 'boolean') forms.push([`-${name}`, text], [`--${name}`, text])
    test(`${name}: default, every form of a flag, environment`, async () => {
      expect(await valueOf(name, [])).toEqual(preset)
      for (const words of forms) expect(await valueOf(name, words)).toEqual(expected)
      expect(await valueOf(name, [], { [environmentName(name)]: text })).toEqual(expected)
    })
  }

  test('version', async () => {
    expect(await readOptions(['--iface', 'x', '-version'], {})).toEqual({ kind: 'version' })
    expect(await valueOf('version', ['--version=false'])).toBe(false)
  })

  test('every row is there, and what upstream does not know says so', () => {
    const upstream = OPTIONS.filter((option) => option.own !== true).map((option) => option.name)
    expect(upstream.toSorted()).toEqual([...FLAGS.map(([name]) => name), 'version'].toSorted())
  })

  test('iface, iface-regex: repeatable, in order', async () =>
    expect(await valueOf('iface', ['--iface', 'b', '-iface=a'])).toEqual(['b', 'a']))

  test('subnet-lease-renew-margin: 1 to 1439', async () => {
    for (const bad of ['0', '1440', '-1'])
      expect(await valueOf('', [`--subnet-lease-renew-margin=${bad}`])).toMatchObject({
        refused: expect.stringContaining('1 to 1439'),
      })
    expect(await valueOf('subnet-lease-renew-margin', ['--subnet-lease-renew-margin=1'])).toBe(1)
  })

  test.each([
    ['vmodule', 'a'],
    ['vmodule', 'a='],
    ['vmodule', '=1'],
    ['vmodule', 'a=-1'],
    ['vmodule', 'a=1=2'],
    ['log_backtrace_at', 'main:1'],
    ['log_backtrace_at', 'main.go:0'],
    ['log_backtrace_at', 'main.go'],
    ['v', 'x'],
  ])('klog’s own syntax: -%s=%s is none', async (name, text) =>
    expect(await valueOf(name, [`-${name}=${text}`])).toMatchObject({
      refused: expect.stringContaining('want'),
    }),
  )

  test.each([
    ['vmodule', 'a=1,'],
    ['vmodule', ''],
    ['log_backtrace_at', ''],
  ])('klog’s own syntax: -%s=%s is right', async (name, text) =>
    expect(await valueOf(name, [`-${name}=${text}`])).toBe(text),
  )

  test('positional arguments are ignored, but told', async () =>
    expect(await readOptions(['word', '--ip-masq'], {})).toMatchObject({
      options: { 'ip-masq': false },
      notes: [{ level: 'error', text: expect.stringContaining('word 1 of the command line is no flag') }],
    }))
})

describe('flannel-compat 1.2:', () => {
  test.each([
    ['etcd-endpoints', 'FLANNELD_ETCD_ENDPOINTS'],
    ['ip-masq', 'FLANNELD_IP_MASQ'],
    ['v', 'FLANNELD_V'],
    ['log_backtrace_at', 'FLANNELD_LOG_BACKTRACE_AT'],
  ])('the name of %s is %s', (flag, variable) => expect(environmentName(flag)).toBe(variable))

  test('the command line wins; an empty variable counts as unset', async () => {
    const prefix = (args: string[], text: string) =>
      valueOf('etcd-prefix', args, { FLANNELD_ETCD_PREFIX: text })
    expect(await prefix([], '/e')).toBe('/e')
    expect(await prefix(['--etcd-prefix=/f'], '/e')).toBe('/f')
    expect(await prefix(['--etcd-prefix='], '/e')).toBe('')
    expect(await prefix([], '')).toBe('/coreos.com/network')
    const unread = await readOptions(['--v=1'], { FLANNELD_V: 'x' })
    expect(unread).toMatchObject({ options: { v: 1 }, notes: [] })
  })

  test('a repeatable flag gets exactly one element, and nothing beside the command line’s', async () => {
    expect(await valueOf('iface', [], { FLANNELD_IFACE: 'a,b c' })).toEqual(['a,b c'])
    expect(await valueOf('iface', ['--iface=x'], { FLANNELD_IFACE: 'a' })).toEqual(['x'])
  })

  test('a value that can’t be read is an error in the log, and the rest counts', async () =>
    expect(await readOptions([], { FLANNELD_HEALTHZ_PORT: 'x', FLANNELD_V: '1' })).toMatchObject({
      options: { 'healthz-port': 0, v: 1 },
      notes: [
        {
          level: 'error',
          text: 'FLANNELD_HEALTHZ_PORT: "x" is invalid: want a whole number; it is left out',
        },
      ],
    }))

  test('FLANNELD_VERSION and FLANNELD_HELP have no effect', async () =>
    expect(await valueOf('version', [], { FLANNELD_VERSION: 'true', FLANNELD_HELP: 'true' })).toBe(false))

  test('booleans: 1,t,T,TRUE,true,True,0,f,F,FALSE,false,False', async () => {
    const masq = (text: string) => valueOf('ip-masq', [], { FLANNELD_IP_MASQ: text })
    for (const yes of ['1', 't', 'T', 'TRUE', 'true', 'True']) expect(await masq(yes)).toBe(true)
    for (const no of ['0', 'f', 'F', 'FALSE', 'false', 'False']) expect(await masq(no)).toBe(false)
  })

  // Of the Kubernetes mode, WireGuard and a cloud: parts that are not built, and NOTIFY_SOCKET is systemd's.
  test.each([
    'NODE_NAME',
    'POD_NAME',
    'POD_NAMESPACE',
    'EVENT_QUEUE_DEPTH',
    'CONT_WHEN_CACHE_NOT_READY',
    'WIREGUARD_KEY_FILE',
    'ACCESS_KEY_ID',
    'ACCESS_KEY_SECRET',
    'NOTIFY_SOCKET',
    'KUBERNETES_SERVICE_HOST',
  ])('%s changes no option', async (name) =>
    expect(await readOptions([], { [name]: 'x' })).toEqual(await readOptions([], {})),
  )
})
