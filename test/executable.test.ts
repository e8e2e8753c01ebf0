// The executable stands alone: it starts where its build tree is hidden, `/` is read-only and `/tmp` noexec, and
// nothing in the working directory changes what it does.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FLANNEL, FLANNELD, HEDDLE, ROOT } from './support/executable.ts'

setDefaultTimeout(60_000)

/** A folder of this test's own, removed after it. */
function folder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'heddle-alone-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

interface Outcome {
  readonly status: number | null
  readonly text: string
}
function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; input?: string } = {},
): Outcome {
  const done = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: 120_000,
    killSignal: 'SIGKILL',
    ...options,
  })
  return { status: done.status, text: `${done.stdout}${done.stderr}` }
}

describe('the executable stands alone', () => {
  // A copy in /run (a tmpfs of this mount namespace), the build tree and the home hidden, `/` read-only, /tmp noexec.
  const world = `
    mount -t tmpfs none /run
    mkdir /run/bin
    cp "${HEDDLE}" /run/bin/heddle; ln -s heddle /run/bin/flanneld; ln -s heddle /run/bin/flannel
    mount -t tmpfs none "${ROOT}"
    mount -t tmpfs -o noexec none /tmp
    mount --bind / /; mount -o remount,bind,ro /
    cd /run; export HOME=/nonexistent PATH=/run/bin:$PATH
    if touch /etc/x 2>/dev/null; then echo "/ is writable"; exit 90; fi
    cp /bin/true /tmp/true; if /tmp/true 2>/dev/null; then echo "/tmp is exec"; exit 91; fi
  `
  // The shell is init of its own process namespace: whatever it started ends with it, and it with us.
  const cell = 'setpriv --pdeathsig KILL unshare --mount --net --pid --mount-proc --fork --kill-child'
  const alone = (script: string): Outcome => {
    const [command = '', ...args] = cell.split(' ')
    return run(command, [...args, 'sh', '-ec', `${world}\n${script}`])
  }

  test('all three names start there', () => {
    const { status, text } = alone(`
      heddle --version; flanneld --version
      echo '{"cniVersion":"1.0.0"}' | CNI_COMMAND=VERSION flannel
    `)
    expect({ status, text }).toEqual({ status: 0, text: expect.stringContaining('supportedVersions') })
  })

  test('the daemon and the store work there: the kernel gets its device', () => {
    const { status, text } = alone(`
      ip link set lo up; ip link add eth0 type veth peer name wire; ip link set wire up; ip addr add 192.168.100.1/24 dev eth0; ip link set eth0 up
      ip route add default via 192.168.100.254
      heddle store --listen 127.0.0.1:2379 --data-dir /run/store &
      export ETCDCTL_API=3
      until etcdctl put /coreos.com/network/config '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}' 2>/dev/null; do sleep 0.1; done
      flanneld --etcd-endpoints http://127.0.0.1:2379 & daemon=$!
      for _ in $(seq 100); do test -e /run/flannel/subnet.env && break; sleep 0.1; done
      cat /run/flannel/subnet.env; ip -d link show flannel.1
      test "$(wc -l </proc/$daemon/net/netlink)" -gt 1
    `)
    expect(text).toContain('FLANNEL_NETWORK=10.244.0.0/16')
    expect(text).toMatch(/vxlan id 1 local 192\.168\.100\.1/)
    expect(status).toBe(0)
  })
})

describe('files in the working directory change nothing:', () => {
  /** A folder full of what Bun would read; `ran` appears if a preload is run. */
  function trap(): { path: string; ran: string } & Disposable {
    const made = folder()
    const ran = join(made.path, 'ran')
    const write = (name: string, text: string) => writeFileSync(join(made.path, name), text)
    write('preload.ts', `require('node:fs').writeFileSync(${JSON.stringify(ran)}, 'x'); process.exit(77)`)
    write('bunfig.toml', `preload = ["./preload.ts"]\n[run]\npreload = ["./preload.ts"]\n`)
    for (const name of ['.env', '.env.local', '.env.production', '.env.development'])
      write(name, 'FLANNELD_IFACE_CAN_REACH=trap\nNODE_OPTIONS=--require=./preload.ts\nHEDDLE_TRAP=1\n')
    write(
      'package.json',
      '{"name":"trap","type":"commonjs","imports":{"#*":"./preload.ts"},"bun":{"preload":"./preload.ts"}}',
    )
    write(
      'tsconfig.json',
      '{"compilerOptions":{"paths":{"*":["./preload.ts"],"node:*":["./preload.ts"]},"baseUrl":"."}}',
    )
    return { ...made, ran, [Symbol.dispose]: () => made[Symbol.dispose]() }
  }
  const calls: readonly (readonly [string, string, readonly string[], string | undefined])[] = [
    ['heddle --version', HEDDLE, ['--version'], undefined],
    ['flanneld --help', FLANNELD, ['--help'], undefined],
    // The port is looked at after that variable: another sentence would show that .env was read.
    ['flanneld with a bad flag', FLANNELD, ['--healthz-port=65536'], undefined],
    ['flannel VERSION', FLANNEL, [], 'VERSION'],
  ]
  for (const [name, command, args, cni] of calls)
    test(name, () => {
      using trapped = trap()
      using plain = folder()
      const env = { PATH: process.env['PATH'], ...(cni === undefined ? {} : { CNI_COMMAND: cni }) }
      const input = '{"cniVersion":"1.0.0"}'
      const expected = run(command, args, { cwd: plain.path, env, input })
      expect(expected.text).not.toBe('')
      expect(run(command, args, { cwd: trapped.path, env, input })).toEqual(expected)
      expect(existsSync(trapped.ran)).toBe(false)
    })

  test('and the same variable in the real environment does', () => {
    const { status, text } = run(FLANNELD, ['--healthz-port=65536'], {
      env: { PATH: process.env['PATH'], FLANNELD_IFACE_CAN_REACH: 'trap' },
    })
    expect({ status, text }).toEqual({ status: 2, text: expect.stringContaining('FLANNELD_IFACE_CAN_REACH') })
  })

  test('the name it is called by decides, through any link', () => {
    using made = folder()
    copyFileSync(HEDDLE, join(made.path, 'flanneld'))
    symlinkSync('flanneld', join(made.path, 'flannel'))
    expect(run(join(made.path, 'flanneld'), ['--help']).text).toContain('-etcd-endpoints')
    const version = run(join(made.path, 'flannel'), [], {
      env: { CNI_COMMAND: 'VERSION' },
      input: '{"cniVersion":"1.0.0"}',
    })
    expect(version.text).toContain('supportedVersions')
  })
})

test('npm run build -- --target arm64 makes an executable for that architecture', () => {
  const built = run(process.execPath, [join(ROOT, 'scripts', 'build.ts'), '--target', 'arm64'], { cwd: ROOT })
  expect(built).toEqual({ status: 0, text: expect.stringContaining('arm64') })
  const header = readFileSync(join(ROOT, 'dist', 'arm64', 'heddle')).subarray(0, 20)
  expect(header.subarray(0, 4).toString('latin1')).toBe('\x7fELF')
  expect(header.readUInt16LE(18)).toBe(0xb7) // EM_AARCH64, elf.h
}, 180_000)
