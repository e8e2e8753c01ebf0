// `heddle config show`: every option in force with where it comes from, as flanneld itself would have it; no secret.
import { afterAll, describe, expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OPTIONS } from '../src/daemon/options/table.ts'
import { HEDDLE } from './support/executable.ts'

const folder = mkdtempSync(join(tmpdir(), 'heddle-config-show-'))
afterAll(() => rmSync(folder, { recursive: true }))
const FILE = join(folder, 'flanneld.conf')
const conf = (text: string): string => {
  writeFileSync(FILE, text, { mode: 0o600 })
  return `--config-file=${FILE}`
}
const show = (args: readonly string[], env: Record<string, string> = {}) => {
  const { status, stdout, stderr } = spawnSync(HEDDLE, ['config', 'show', ...args], {
    encoding: 'utf8',
    timeout: 20_000,
    env: { PATH: process.env['PATH'], ...env },
  })
  return { status, stdout, stderr }
}
/** Name, value and source of each row. */
const rowsOf = (text: string): Map<string, string[]> =>
  new Map(
    text
      .split('\n')
      .filter((line) => line.startsWith('  '))
      .map((line) => line.trim().split(/ {2,}/))
      .map(([name = '', ...rest]) => [name, rest]),
  )

const JSON_CONF = JSON.stringify(
  {
    etcd: { endpoints: ['http://u:s3cr3t@h:1'], password: 's3cr3t' },
    network: '10.5.0.0/16',
    backend: { type: 'vxlan', psk: 's3cr3t' },
  },
  undefined,
  1,
)

describe('heddle config show', () => {
  test('tells each option once: value, and the flag, variable, line or default it is from', () => {
    const file = conf('# mine\nFLANNELD_ETCD_PREFIX=/file\nFLANNEL_OPTIONS="--ip-masq --v=1"\n')
    const { status, stdout, stderr } = show(['--', file, '--iface', 'eth0', '--iface=eth1'], {
      FLANNELD_V: '2',
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toStartWith(`conf file: ${FILE}\n`)
    const rows = rowsOf(stdout)
    expect(rows.get('iface')).toEqual(['eth0, eth1', 'flag --iface'])
    expect(rows.get('v')).toEqual(['2', 'environment FLANNELD_V'])
    expect(rows.get('etcd-prefix')).toEqual(['/file', `${FILE}:2 FLANNELD_ETCD_PREFIX`])
    expect(rows.get('ip-masq')).toEqual(['true', `${FILE}:3 --ip-masq in FLANNEL_OPTIONS`])
    expect(rows.get('healthz-port')).toEqual(['0', 'default'])
    const names = OPTIONS.filter((option) => option.only !== 'flag').map((option) => option.name)
    expect([...rows.keys()]).toEqual(names)
  })

  test('tells the network config of a JSON conf file, and masks secrets in both forms', () => {
    const file = conf(JSON_CONF)
    for (const form of [[], ['--json']]) {
      const { status, stdout, stderr } = show([...form, '--', file])
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      expect(stdout).not.toContain('s3cr3t')
    }
    const rows = rowsOf(show(['--', file]).stdout)
    expect(rows.get('etcd-endpoints')).toEqual(['http://…@h:1', `${FILE}:3 etcd.endpoints`])
    expect(rows.get('etcd-password')).toEqual(['(secret)', `${FILE}:6 etcd.password`])
    expect(rows.get('network')).toEqual(['10.5.0.0/16', `${FILE}:8`])
    expect(rows.get('backend.psk')).toEqual(['(secret)', `${FILE}:11`])
  })

  test('tells it as JSON to programs', () => {
    const { stdout } = show(['--json', '--', conf('FLANNELD_V=1\n'), '--iface=eth0', '--logtostderr=false'])
    const told = JSON.parse(stdout) as { options: Record<string, unknown>[] }
    expect(told).toMatchObject({
      file: FILE,
      notes: [{ level: 'info', text: expect.stringContaining('--logtostderr has no effect') }],
    })
    const option = (name: string) => told.options.find((one) => one['name'] === name)
    expect(option('iface')).toEqual({
      section: 'interface',
      name: 'iface',
      value: ['eth0'],
      origin: { kind: 'flag', name: '--iface' },
    })
    expect(option('v')).toMatchObject({
      value: 1,
      origin: { kind: 'file', name: 'FLANNELD_V', place: { file: FILE, line: 1, column: 1 } },
    })
  })

  test('what flanneld would refuse, or not run with, ends with 2 and its sentence', () => {
    const file = conf('FLANNELD_V=1\nFLANNELD_VV=1\n')
    const reason = `${FILE}:2:1: flanneld knows no FLANNELD_VV; did you mean FLANNELD_V?`
    expect(show(['--', file])).toEqual({ status: 2, stdout: '', stderr: `heddle: ${reason}\n` })
    const json = show(['--json', '--', file])
    expect(JSON.parse(json.stdout)).toEqual({ error: { code: 'refused', message: reason } })
    expect(json.status).toBe(2)
    expect(show(['--', '--version'])).toMatchObject({ status: 2, stdout: '' })
    expect(show(['--iface=eth0'])).toMatchObject({ status: 2, stdout: '' })
  })

  test('reads /etc/flannel/flanneld.conf where there is one', () => {
    // An /etc of this mount namespace only.
    const script = `mount -t tmpfs none /etc; "$0" config show; mkdir /etc/flannel; echo FLANNELD_V=7 >/etc/flannel/flanneld.conf; "$0" config show`
    const done = spawnSync('unshare', ['--mount', 'sh', '-ec', script, HEDDLE], {
      encoding: 'utf8',
      timeout: 20_000,
      env: { PATH: process.env['PATH'] },
    })
    expect({ status: done.status, stderr: done.stderr }).toEqual({ status: 0, stderr: '' })
    const [without = '', withFile = ''] = done.stdout.split(/(?<=\n)(?=conf file)/)
    expect(without).toStartWith('conf file: none\n')
    expect(withFile).toStartWith('conf file: /etc/flannel/flanneld.conf\n')
    expect(rowsOf(withFile).get('v')).toEqual(['7', '/etc/flannel/flanneld.conf:1 FLANNELD_V'])
  })
})
