// flannel-compat 5.2: mk-docker-opts.sh against upstream's own script, run side by side in one network namespace, and
// what upstream's gets wrong.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { upstreamMkDockerOpts } from '../../scripts/peers.ts'
import { kernel, type TestHost } from '../support/kernel.ts'

const OURS = join(import.meta.dirname, '..', '..', 'packaging', 'mk-docker-opts.sh')
const folder = mkdtempSync(join(tmpdir(), 'heddle-docker-opts-'))
let host: TestHost

beforeAll(async () => {
  host = await kernel()
  await host.sh(`
    ip link add eth0 type veth peer name wire; ip link set wire up; ip addr add 192.168.100.1/24 dev eth0; ip link set eth0 up
    ip route add 10.9.9.0/24 via 192.168.100.2; ip route add 110.7.7.0/24 via 192.168.100.2
    ip route add 10.8.8.0/24 dev eth0
  `)
})
afterAll(async () => {
  await host[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

interface Run {
  readonly subnetEnv?: string | undefined
  readonly args?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly shell?: readonly string[]
}
interface Outcome {
  readonly status: number | null
  /** What was written; undefined if nothing was. */
  readonly written: string | undefined
  readonly stderr: string
}

function run(script: string, { subnetEnv, args = [], environment = {}, shell = ['sh'] }: Run): Outcome {
  const input = join(folder, 'subnet.env')
  const output = join(folder, 'docker.env')
  for (const file of [input, output]) rmSync(file, { force: true })
  if (subnetEnv !== undefined) writeFileSync(input, subnetEnv)
  const words = [...shell, script, '-f', input, '-d', output, ...args]
  const done = spawnSync('nsenter', [`--net=${host.namespace.path}`, ...words], {
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    cwd: folder,
    encoding: 'utf8',
  })
  return { status: done.status, written: textOf(output), stderr: done.stderr }
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

const SAMPLE = 'FLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n'
const BIP = '--bip=10.1.74.1/24'
const SINGLE = `DOCKER_OPT_BIP="${BIP}"\nDOCKER_OPT_IPMASQ="--ip-masq=true"\nDOCKER_OPT_MTU="--mtu=1472"\n`
const ALL = ` ${BIP} --ip-masq=true --mtu=1472`

describe('flannel-compat 5.2, the golden cases:', () => {
  test.each([
    ['without options', [], `${SINGLE}DOCKER_OPTS="${ALL}"\n`],
    ['-i', ['-i'], SINGLE],
    ['-c', ['-c'], `DOCKER_OPTS="${ALL}"\n`],
    ['-k', ['-k', 'CUSTOM_KEY'], `${SINGLE}CUSTOM_KEY="${ALL}"\n`],
    [
      '-m',
      ['-m'],
      `DOCKER_OPT_BIP="${BIP}"\nDOCKER_OPT_MTU="--mtu=1472"\nDOCKER_OPTS=" ${BIP} --mtu=1472"\n`,
    ],
  ])('%s', (_, args, written) => {
    for (const shell of [['sh'], ['bash', '--posix']])
      expect(run(OURS, { subnetEnv: SAMPLE, args, shell })).toEqual({ status: 0, written, stderr: '' })
  })
})

describe('flannel-compat 5.2, beside upstream’s script:', () => {
  const both = (given: Run) => ({ ours: run(OURS, given), upstream: run(upstreamMkDockerOpts, given) })

  test.each([
    ['-h', ['-h']],
    ['-?', ['-?']],
    ['an unknown option', ['-x']],
    ['an option without its value', ['-k']],
  ])('%s: usage on standard error, exit 1, nothing written', (_, args) => {
    const { ours, upstream } = both({ subnetEnv: SAMPLE, args })
    expect(ours).toEqual({ ...upstream, stderr: expect.stringContaining('-m       leave --ip-masq out') })
    expect(ours).toMatchObject({ status: 1, written: undefined })
  })

  test('a FLANNEL_IPMASQ that is neither true nor false: exit 1, nothing written; with -m it is not looked at', () => {
    const subnetEnv = SAMPLE.replace('false', 'yes')
    const { ours, upstream } = both({ subnetEnv })
    expect(ours).toEqual({ ...upstream, stderr: expect.stringContaining('want true or false') })
    expect(ours).toMatchObject({ status: 1, written: undefined })
    const leftOut = both({ subnetEnv, args: ['-m'] })
    expect(leftOut.ours).toEqual(leftOut.upstream)
    expect(leftOut.ours.status).toBe(0)
  })

  test('a route through another host to the own subnet: told, exit 1, though all is written', () => {
    const { ours, upstream } = both({ subnetEnv: SAMPLE.replace('10.1.74.1', '10.9.9.1') })
    expect(ours).toEqual(upstream)
    expect(ours).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^Your routing table already contains the subnet: 10\.9\.9\.0\/24 via /),
    })
    const direct = both({ subnetEnv: SAMPLE.replace('10.1.74.1', '10.8.8.1') })
    expect(direct.ours).toEqual(direct.upstream)
    expect(direct.ours.status).toBe(0)
  })

  const name = fc.constantFrom('DOCKER_OPTS', 'DOCKER_NETWORK_OPTIONS', 'OTHER', '_x9')
  /** Blanks, patterns and backslashes are what upstream's breaks on. */
  const plain = fc.string({ unit: fc.constantFrom(...Array.from('aZ09-=/.,:"$\'(;&|<>#~!%')), maxLength: 8 })
  const value = (...usual: string[]) => fc.option(fc.constantFrom(...usual, ''), { nil: undefined })
  const given = fc.record({
    subnet: value('10.1.74.1/24', '10.1.74.129/25', '10.9.9.1/24', '10.8.8.1/24', '192.0.2.1', '10.1.0.1/16'),
    mtu: value('1450', '8951'),
    masq: value('true', 'false', 'yes'),
    quoted: fc.boolean(),
    absent: fc.boolean(),
    flags: fc.subarray(['-i', '-c', '-m']),
    key: fc.option(name, { nil: undefined }),
    own: fc.dictionary(fc.constantFrom('BIP', 'MTU', 'IPMASQ', 'LOG', 'A1', 'a', '_'), plain, { maxKeys: 3 }),
    before: fc.option(fc.string({ unit: fc.constantFrom(...Array.from('a -="$')), maxLength: 6 }), {
      nil: undefined,
    }),
  })
  test('any subnet.env, options and environment: the same bytes, the same exit', () => {
    fc.assert(
      fc.property(given, ({ subnet, mtu, masq, quoted, absent, flags, key, own, before }) => {
        const line = (name: string, value: string | undefined) =>
          value === undefined ? '' : `FLANNEL_${name}=${quoted ? `"${value}"` : value}\n`
        const environment: Record<string, string> = {}
        for (const [name, value] of Object.entries(own)) environment[`DOCKER_OPT_${name}`] = value
        if (before !== undefined) environment[key ?? 'DOCKER_OPTS'] = before
        const { ours, upstream } = both({
          subnetEnv: absent
            ? undefined
            : line('SUBNET', subnet) + line('MTU', mtu) + line('IPMASQ', masq) + '# a comment\nOTHER=1\n',
          args: [...flags, ...(key === undefined ? [] : ['-k', key])],
          environment,
        })
        expect({ status: ours.status, written: ours.written }).toEqual({
          status: upstream.status,
          written: upstream.written,
        })
      }),
      { numRuns: 100 },
    )
  })
})

describe('where upstream’s script goes wrong:', () => {
  test('blanks, patterns, backslashes and line ends in a value of the environment stay as they are', () => {
    const environment = { DOCKER_OPT_X: '--log-opt  tag=* \\n', DOCKER_OPT_Y: 'a\nDOCKER_OPT_Z=b' }
    expect(run(OURS, { args: ['-i'], environment }).written).toBe(
      'DOCKER_OPT_X="--log-opt  tag=* \\n"\nDOCKER_OPT_Y="a\nDOCKER_OPT_Z=b"\n',
    )
  })

  test('only variables whose names begin with DOCKER_OPT_ are told', () => {
    const environment = { MY_DOCKER_OPT_X: 'x', OTHER: 'DOCKER_OPT_Y' }
    expect(run(OURS, { args: ['-i'], environment }).written).toBe('')
    expect(run(OURS, { args: ['-k', 'DOCKER_OPT_ALL'] }).written).toBe('DOCKER_OPT_ALL=""\n')
  })

  test('a route to another subnet whose text has ours in it is none to ours', () => {
    const given = { subnetEnv: SAMPLE.replace('10.1.74.1', '10.7.7.1') }
    expect(run(upstreamMkDockerOpts, given).status).toBe(1)
    expect(run(OURS, given)).toMatchObject({ status: 0, stderr: '' })
  })

  test('-k runs nothing', () => {
    const outcome = run(OURS, { subnetEnv: SAMPLE, args: ['-k', 'X$(touch ran)'] })
    expect(outcome).toEqual({
      status: 1,
      written: undefined,
      stderr: expect.stringContaining('not the name of a variable'),
    })
    expect(textOf(join(folder, 'ran'))).toBeUndefined()
  })

  test('a file that can’t be written is told, exit 1', () => {
    const outcome = run(OURS, { subnetEnv: SAMPLE, args: ['-d', join(folder, 'absent', 'docker.env')] })
    expect(outcome).toMatchObject({ status: 1, stderr: expect.stringContaining("can't be written") })
  })

  test('a file named without a slash is looked for here, and its name may have blanks', () => {
    writeFileSync(join(folder, 'my subnet.env'), SAMPLE)
    const outcome = run(OURS, { args: ['-c', '-f', 'my subnet.env'] })
    expect(outcome).toEqual({ status: 0, written: `DOCKER_OPTS="${ALL}"\n`, stderr: '' })
  })
})
