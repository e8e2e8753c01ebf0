// flanneld's command line beside upstream's own: the same flags with the same defaults, and exit codes
// (flannel-compat 1.3).
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { upstreamFlanneld } from '../../scripts/peers.ts'
import { FLANNELD } from '../support/executable.ts'
import { needsUpstream } from '../support/upstream.ts'

setDefaultTimeout(60_000)
needsUpstream()

const run = (file: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) => {
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', timeout: 20_000, env })
  return { status, stdout, stderr }
}

/** Each flag of a Go program's --help with its default, as it writes that. */
function flagsIn(help: string): Map<string, string> {
  const rows = help.matchAll(/^ {2}--?(\S+)(?: \S+)?\n\s+(.*)$/gm)
  return new Map(
    [...rows].map(([, name, text]) => [name ?? '', /\(default "?(.*?)"?\)$/.exec(text ?? '')?.[1] ?? '']),
  )
}

test('every flag of upstream v0.28.9 is there, with its default', () => {
  const upstream = flagsIn(run(upstreamFlanneld, ['--help']).stderr)
  const ours = flagsIn(run(FLANNELD, ['--help']).stderr)
  expect(upstream.size).toBe(31)
  expect(Object.fromEntries([...upstream.keys()].map((name) => [name, ours.get(name)]))).toEqual(
    Object.fromEntries(upstream),
  )
})

describe('flannel-compat 1.3, exit codes:', () => {
  for (const flag of ['--version', '--help', '-h'])
    test(`0: ${flag}, told on stderr, by upstream too`, () => {
      for (const file of [FLANNELD, upstreamFlanneld]) {
        const { status, stdout, stderr } = run(file, [flag])
        expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
        expect(stderr).not.toBe('')
      }
    })

  test('weak point 46: a flag parse error: 2 and the flag that was meant, where upstream ends with 0', () => {
    expect(run(FLANNELD, ['--etcd-endpoint=x'])).toEqual({
      status: 2,
      stdout: '',
      stderr: 'flanneld: there is no flag --etcd-endpoint; did you mean --etcd-endpoints?\n',
    })
    expect(run(upstreamFlanneld, ['--etcd-endpoint=x']).status).toBe(0)
  })

  test('a bad renew margin: 2, where upstream ends with 1', () => {
    const args = ['--subnet-lease-renew-margin=0']
    expect(run(FLANNELD, args)).toMatchObject({ status: 2, stderr: expect.stringContaining('1 to 1439') })
    expect(run(upstreamFlanneld, args, {}).status).toBe(1)
  })

  test('a value in the environment that can’t be read is left out, by both', () => {
    const env = { PATH: process.env['PATH'], FLANNELD_HEALTHZ_PORT: 'x' }
    const args = ['--subnet-lease-renew-margin=0']
    expect(run(FLANNELD, args, env).stderr).toContain('1 to 1439')
    expect(run(upstreamFlanneld, args, env).stderr).toContain('invalid value "x" for FLANNELD_HEALTHZ_PORT')
  })
})
