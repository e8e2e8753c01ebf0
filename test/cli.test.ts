// The command line of `heddle`: what is not understood gets a sentence and exit code 2, and nobody but a terminal
// gets colour.
import { describe, expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { HEDDLE } from './support/executable.ts'
import manifest from '../package.json' with { type: 'json' }

const heddle = (...args: string[]) => spawnSync(HEDDLE, args, { encoding: 'utf8', timeout: 20_000 })
const ESCAPE = '\u001B['

describe('the command line', () => {
  test('tells its version and its commands', () => {
    expect(heddle('--version')).toMatchObject({ status: 0, stdout: `v${manifest.version}\n` })
    const { status, stdout } = heddle('--help')
    expect(status).toBe(0)
    for (const word of ['lab', 'config', 'store', '--version']) expect(stdout).toContain(word)
    expect(heddle('lab').stdout).toMatch(
      /up\b[\s\S]*check\b[\s\S]*status\b[\s\S]*exec\b[\s\S]*logs\b[\s\S]*down\b/,
    )
    expect(heddle('lab').stdout).not.toMatch(/hold|relay/)
  })

  test.each([
    [['help'], ['--help']],
    [
      ['help', 'lab', 'up'],
      ['lab', 'up', '--help'],
    ],
    [
      ['help', 'store'],
      ['store', '--help'],
    ],
    [['version'], ['--version']],
  ])('%j is %j', (words, flags) => {
    const { status, stdout } = heddle(...words)
    expect(status).toBe(0)
    expect(stdout).toBe(heddle(...flags).stdout)
    expect(stdout).not.toBe('')
  })

  test.each([
    [['lbb'], 'there is no command lbb; did you mean `lab`?'],
    [['lab', 'chekc'], 'did you mean `check`?'],
    [['lab', 'up', '--hots', '3'], 'there is no flag --hots; did you mean --hosts?'],
    [['lab', 'up', '--hosts', 'many'], '--hosts many: want a whole number'],
    [['lab', 'up', '--foo'], 'heddle: there is no flag --foo; see --help\n'],
    [['lab', 'zzz'], 'heddle: there is no command zzz; see heddle lab --help\n'],
    [['lab', 'up', '--hosts'], 'heddle: --hosts has no value; see --help\n'],
    [['lab', 'up', '--hosts', '--json'], 'heddle: --hosts has no value; see --help\n'],
    [['lab', 'up', '--hosts='], 'heddle: --hosts has no value; see --help\n'],
    [['lab', 'up', '--pods', '1', '--pods', '2'], '--pods is given twice, with 1 and 2; want it once'],
    [['lab', 'up', '--json=maybe'], '--json maybe: want true or false'],
    [['lab', 'up', '--hosts', '0'], '--hosts 0: want a whole number from 1 to 100'],
    [['lab', 'up', '--backend', 'vlan'], '--backend vlan: want vxlan or host-gw'],
    [['lab', 'up', '--peer', 'h2'], '--peer h2: want HOST=PATH'],
    [['lab', 'up', 'now'], 'now is one word too many'],
    [['lab', 'exec'], 'HOST is missing; see --help'],
    [['store', '--lisen', 'x'], 'lisen'],
    [['config', 'shwo'], 'did you mean `show`?'],
    [['drift', 'foo'], 'heddle: foo is one word too many; see --help\n'],
    [['drift', '--watch', 'foo'], 'foo is one word too many'],
    [['config', 'show', 'foo'], 'foo is one word too many'],
    [
      ['config', 'show', '--', '--ip-masq', 'no'],
      'there is a word too many behind --ip-masq; a boolean flag',
    ],
    [['explain', '10.5.3.7', '10.5.3.8'], '10.5.3.8 is one word too many'],
    [['zzz'], 'heddle: there is no command zzz; see heddle --help\n'],
    [['--bogus'], 'heddle: there is no flag --bogus; see heddle --help\n'],
    [
      ['drift', '--etcd-endpoints=x'],
      "no flag --etcd-endpoints; it is flanneld's, and those go behind --: -- --etcd-",
    ],
    [
      ['config', 'show', '--iface=eth1'],
      "there is no flag --iface; it is flanneld's, and those go behind --",
    ],
    [
      ['drift', '-iface', 'eth1'],
      "there is no flag -iface; it is flanneld's, and those go behind --: -- --iface\n",
    ],
    [['drift', '-json'], 'heddle: there is no flag -json; did you mean --json?\n'],
    [['lab', 'logs', '-f', 'h1'], 'heddle: there is no flag -f; see --help\n'],
    [['lab', 'exec', 'h1', '-x'], 'there is no flag -x; see --help (a command of its own goes after --)'],
    [['explain'], 'heddle: ADDRESS is missing; see --help\n'],
    [['help', 'lbb'], 'did you mean `lab`?'],
    [['version', 'now'], 'there is no command version'],
  ])('%j is not understood', (args, sentence) => {
    const { status, stdout, stderr } = heddle(...args)
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toContain(sentence)
    expect(stderr).not.toContain(ESCAPE)
  })

  test('hands the words of `store` on unread', () => {
    expect(heddle('store', '--help')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('--data-dir'),
    })
  })

  test('has colour on a terminal, unless told otherwise', () => {
    const onTerminal = (env: Record<string, string>) =>
      spawnSync('script', ['-qec', `'${HEDDLE}' lab check --dir /nonexistent/lab`, '/dev/null'], {
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], TERM: 'xterm', ...env },
      })
    expect(onTerminal({})).toMatchObject({ status: 1, stdout: expect.stringContaining(ESCAPE) })
    const plain = onTerminal({ NO_COLOR: '1' })
    expect(plain.stdout).toContain('heddle: no lab is up in /nonexistent/lab;')
    expect(plain.stdout).not.toContain(ESCAPE)
  })
})
