// What is in force when options come from several sources, what is refused, and that nothing secret is told.
import { describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import corpus from './options/corpus/command-lines.json' with { type: 'json' }
import type { FlagValue } from './options/go-values.ts'
import { OPTIONS } from './options/table.ts'
import { describeOptions, readOptions, type Given } from './options.ts'

const read = async (args: string[], environment: Record<string, string> = {}): Promise<Given> => {
  const parsed = await readOptions(args, environment)
  if (parsed.kind !== 'options') throw new Error(JSON.stringify(parsed))
  return parsed
}
const refusal = async (args: string[], environment: Record<string, string> = {}): Promise<string> => {
  const parsed = await readOptions(args, environment)
  return parsed.kind === 'refused' ? parsed.reason : `not refused: ${parsed.kind}`
}

describe('options', () => {
  test('of a flag, the environment, neither: each tells where it comes from', async () => {
    const { settings } = await read(['--iface=eth0', '--iface', 'eth1'], {
      FLANNELD_IFACE: 'eth2',
      FLANNELD_V: '2',
    })
    expect(settings.get('iface')).toEqual({
      value: ['eth0', 'eth1'],
      origin: { kind: 'flag', name: '--iface' },
    })
    expect(settings.get('v')).toEqual({ value: 2, origin: { kind: 'environment', name: 'FLANNELD_V' } })
    expect(settings.get('healthz-port')).toEqual({ value: 0, origin: { kind: 'default' } })
  })

  test.each([
    [['--kube-subnet-mgr'], '--kube-subnet-mgr: the Kubernetes API as a store is not built yet; use etcd'],
    [['--etcd-keyfile=/x'], '--etcd-keyfile goes together with --etcd-certfile'],
    [['--etcd-certfile=/x'], '--etcd-certfile goes together with --etcd-keyfile'],
    [
      ['--subnet-lease-renew-margin=0'],
      '--subnet-lease-renew-margin 0: a lease lives 1440 minutes; want 1 to 1439',
    ],
    [['--subnet-lease-renew-margin=1440'], 'want 1 to 1439'],
    [['--healthz-port=65536'], '--healthz-port 65536: want 0 to 65535'],
    [['--public-ip=foo'], '--public-ip foo: want an IPv4 address'],
    [['--iface-can-reach=foo'], '--iface-can-reach foo: want an IP address'],
    [['--iface-regex=eth', '--iface-regex=(e)\\1'], 'invalid escape sequence: `\\1`'],
    [['--iface-regex=(?!lo)'], 'invalid or unsupported Perl syntax: `(?!`'],
    [['--store-reset-grace=169h'], 'want 0 to 604800'],
    [['--ip-masq-except=10.0.0.0/8,10.1'], '"10.1" is no CIDR; want one like 10.0.0.0/8'],
    [['--ip-masq-except=::/0'], '::/0 would let nothing be masqueraded; leave --ip-masq off for that'],
    [['--firewall=nft'], 'want auto, nftables, iptables, iptables-legacy or iptables-nft'],
    [['--log-format=xml'], '--log-format: "xml" is invalid: want text or json'],
  ])('%j is refused with a sentence', async (args, sentence) =>
    expect(await refusal(args)).toContain(sentence),
  )

  test('what is refused as a flag is refused from the environment, by its name there', async () => {
    expect(await refusal([], { FLANNELD_KUBE_SUBNET_MGR: 'true' })).toStartWith(
      'FLANNELD_KUBE_SUBNET_MGR: the',
    )
    expect(await refusal([], { FLANNELD_HEALTHZ_PORT: '65536' })).toStartWith(
      'FLANNELD_HEALTHZ_PORT 65536: want',
    )
  })

  test('a part not built, given at its default, is no offence', async () => {
    const { options } = await read(['--kube-subnet-mgr=false'])
    expect(options['kube-subnet-mgr']).toBe(false)
  })

  test('what has no effect is taken, and told', async () => {
    const { notes } = await read(['--vmodule=vxlan*=2', '--iptables-resync=9', '--logtostderr=false'])
    expect(notes.map(({ text }) => text)).toEqual([
      '--iptables-resync has no effect: rules are watched, and put back at once',
      "--vmodule has no effect: heddle's sources are not upstream's; use -v",
      '--logtostderr has no effect: the log is always on stderr, and in files with --log-dir',
    ])
  })

  test('the log names what differs from the defaults', async () => {
    expect(describeOptions((await read(['--iface=eth0', '--ip-masq'])).settings)).toBe(
      '--iface=eth0 --ip-masq=true',
    )
    expect(describeOptions((await read([])).settings)).toBe('all at their defaults')
  })

  test('weak point 49: nothing that is told has a secret in it', async () => {
    const words = ['--etcd-username=u', '--etcd-password=s3cr3t', '--etcd-endpoints=http://u:s3cr3t@h:1']
    const { settings, notes } = await read([...words, 'true', '--etcd-password', 's3cr3t', '--iface=x'])
    expect(notes).toEqual([
      { level: 'error', text: expect.stringContaining('(--etcd-password, --iface among it)') },
    ])
    expect(JSON.stringify(notes) + describeOptions(settings)).not.toContain('s3cr3t')
    expect(describeOptions(settings)).toContain('http://…@h:1')
    const help = await readOptions(['--etcd-password=s3cr3t', '--help'], { FLANNELD_ETCD_PASSWORD: 's3cr3t' })
    expect(help).toMatchObject({ kind: 'help', text: expect.not.stringContaining('s3cr3t') })
  })
})

interface CommandLine {
  readonly from: string
  readonly words: readonly string[]
  readonly gives?: Readonly<Record<string, FlagValue>>
  readonly refused?: string
  readonly unread?: boolean
}

describe('the corpus of command lines:', () => {
  for (const { from, words, gives = {}, refused, unread = false } of corpus as readonly CommandLine[])
    test(from, async () => {
      const parsed = await readOptions(words, {})
      if (parsed.kind !== 'options') {
        expect(parsed).toEqual({
          kind: 'refused',
          reason: expect.stringContaining(refused ?? 'not to be refused'),
        })
        expect(JSON.stringify(parsed)).not.toContain('s3cr3t')
        return
      }
      expect(refused).toBeUndefined()
      for (const [name, value] of Object.entries(gives))
        expect(parsed.settings.get(name)?.value).toEqual(value)
      expect(parsed.notes.some(({ text }) => text.includes('is no flag'))).toBe(unread)
      expect(describeOptions(parsed.settings) + JSON.stringify(parsed.notes)).not.toContain('s3cr3t')
    })
})

test('no words and no environment at all crash it: options, or a sentence', async () => {
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom('true', '1', '0x10', '1m', 'eth0', '192.0.2.1', '', 'a=1'),
  )
  const flag = fc
    .tuple(fc.constantFrom('-', '--'), fc.constantFrom(...OPTIONS.map((option) => option.name)), value)
    .map(([dashes, name, text]) => `${dashes}${name}=${text}`)
  const variables = fc.dictionary(
    fc.constantFrom(...OPTIONS.map((option) => `FLANNELD_${option.name.toUpperCase().replaceAll('-', '_')}`)),
    value.map((text) => text.replaceAll('\0', '')),
    { maxKeys: 3 },
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(flag, value), { maxLength: 4 }),
      variables,
      async (words, environment) => {
        const parsed = await readOptions(words, environment, '/nonexistent')
        if (parsed.kind === 'refused') expect(parsed.reason).toMatch(/\w+ \w+/)
        else if (parsed.kind === 'options')
          expect(Object.keys(parsed.options).toSorted()).toEqual(
            OPTIONS.map((option) => option.name).toSorted(),
          )
      },
    ),
    { numRuns: 500 },
  )
})
