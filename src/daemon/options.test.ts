// The flags of flanneld: Go's syntax, upstream's names and defaults, refusals that name what is wrong.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { parseGoFlags } from './go-flags.ts'
import { describeOptions, environmentName, helpText, OPTIONS, parseOptions, type Options } from './options.ts'

const options = (args: string[], environment: Record<string, string> = {}): Options => {
  const parsed = parseOptions(args, environment)
  if (parsed.kind !== 'options') throw new Error(JSON.stringify(parsed))
  return parsed.options
}
const refusal = (args: string[], environment: Record<string, string> = {}): string => {
  const parsed = parseOptions(args, environment)
  return parsed.kind === 'refused' ? parsed.reason : `not refused: ${parsed.kind}`
}

describe('Go flag syntax', () => {
  test.each([
    [['-etcd-prefix', '/a']],
    [['--etcd-prefix', '/a']],
    [['-etcd-prefix=/a']],
    [['--etcd-prefix=/a']],
    [['--etcd-prefix=/b', '--etcd-prefix=/a']],
  ])('%j sets a text', (args) => expect(options(args)['etcd-prefix']).toBe('/a'))

  test('a bare boolean is true, and takes a value only after =', () => {
    expect(options(['--ip-masq'])['ip-masq']).toBe(true)
    expect(options(['--ip-masq=false'])['ip-masq']).toBe(false)
    expect(options(['--ip-masq', 'false'])['ip-masq']).toBe(true)
    for (const yes of ['1', 't', 'T', 'TRUE', 'true', 'True'])
      expect(options([`--ip-masq=${yes}`])['ip-masq']).toBe(true)
    expect(refusal(['--ip-masq=yes'])).toContain('ip-masq')
  })

  test('parsing stops at -- and at the first other word', () => {
    expect(options(['--', '--ip-masq'])['ip-masq']).toBe(false)
    expect(options(['word', '--ip-masq'])['ip-masq']).toBe(false)
    expect(parseOptions(['--ip-masq', 'true', '--iface=eth0'], {})).toMatchObject({
      kind: 'options',
      notes: [expect.stringContaining('true --iface=eth0')],
    })
  })

  test('a repeated flag collects, an int reads as Go reads it', () => {
    expect(options(['--iface', 'eth0', '--iface=eth1']).iface).toEqual(['eth0', 'eth1'])
    expect(options(['--healthz-port=0x1F90'])['healthz-port']).toBe(8080)
    expect(options(['--healthz-port=010'])['healthz-port']).toBe(8)
    expect(refusal(['--healthz-port=8.5'])).toContain('healthz-port')
  })

  test('durations are Go’s', () => {
    expect(options(['--store-reset-grace=1m30s'])['store-reset-grace']).toBe(90)
    expect(refusal(['--store-reset-grace=10'])).toContain('10m')
  })

  test('a mistyped flag names the closest one', () => {
    expect(refusal(['--etcd-endpoint=x'])).toContain('-etcd-endpoints')
    expect(refusal(['--zzzzzzzzzzzz'])).toContain('--help')
    expect(refusal(['---ip-masq'])).toContain('bad flag syntax')
    expect(refusal(['--etcd-prefix'])).toContain('needs a value')
  })

  test('no words at all crash it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string(), fc.constantFrom('-', '--', '-=', '--iface', '-v', '--v=')), {
          maxLength: 6,
        }),
        (args) => {
          const parsed = parseGoFlags(OPTIONS, args)
          return typeof parsed === 'string' ? parsed.length > 0 : parsed.given instanceof Map
        },
      ),
    )
  })
})

describe('options', () => {
  test('have upstream’s names and defaults', () => {
    const defaults = options([])
    expect(defaults).toMatchObject({
      'etcd-endpoints': 'http://127.0.0.1:4001,http://127.0.0.1:2379',
      'etcd-prefix': '/coreos.com/network',
      'subnet-file': '/run/flannel/subnet.env',
      'subnet-lease-renew-margin': 60,
      'ip-masq': false,
      'healthz-ip': '0.0.0.0',
      'healthz-port': 0,
      'iptables-forward-rules': true,
      'kube-annotation-prefix': 'flannel.alpha.coreos.com',
      'net-config-path': '/etc/kube-flannel/net-conf.json',
    })
  })

  test('flags beat environment beats defaults; an empty variable counts as unset', () => {
    expect(environmentName('etcd-prefix')).toBe('FLANNELD_ETCD_PREFIX')
    expect(options([], { FLANNELD_ETCD_PREFIX: '/e' })['etcd-prefix']).toBe('/e')
    expect(options(['--etcd-prefix=/f'], { FLANNELD_ETCD_PREFIX: '/e' })['etcd-prefix']).toBe('/f')
    expect(options([], { FLANNELD_ETCD_PREFIX: '' })['etcd-prefix']).toBe('/coreos.com/network')
  })

  test('a bad environment value is a note, not an end', () => {
    const parsed = parseOptions([], { FLANNELD_HEALTHZ_PORT: 'x' })
    expect(parsed).toMatchObject({
      kind: 'options',
      notes: [expect.stringContaining('FLANNELD_HEALTHZ_PORT')],
    })
  })

  test.each([
    [['--kube-subnet-mgr'], 'Kubernetes'],
    [['--etcd-keyfile=/x'], 'go together'],
    [['--public-ipv6=::1'], 'IPv6'],
    [['--subnet-lease-renew-margin=0'], '1 to 1439'],
    [['--subnet-lease-renew-margin=1440'], '1 to 1439'],
    [['--healthz-port=65536'], '65535'],
    [['--public-ip=foo'], 'IPv4'],
    [['--iface-can-reach=foo'], 'IP address'],
  ])('%j is refused with a sentence', (args, word) => expect(refusal(args)).toContain(word))

  test('a part not built, given at its default, is no offence', () => {
    expect(options(['--kube-subnet-mgr=false'])['kube-subnet-mgr']).toBe(false)
    expect(refusal([], { FLANNELD_KUBE_SUBNET_MGR: 'true' })).toContain('FLANNELD_KUBE_SUBNET_MGR')
  })

  test('--help names every flag; the log names what differs and no secret', () => {
    expect(parseOptions(['-h'], {})).toEqual({ kind: 'help' })
    for (const option of OPTIONS) expect(helpText()).toContain(`-${option.name}`)
    expect(describeOptions(options(['--iface=eth0', '--ip-masq']))).toBe('-iface=eth0 -ip-masq=true')
  })
})
