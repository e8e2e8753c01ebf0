// Starting and stopping the embedded store: options, ports, damaged and foreign files.
import { describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { EtcdServer } from '../../../test/support/etcd.ts'
import { Running } from '../../../test/support/process.ts'
import { Channel } from '../etcd/channel.ts'
import { Auth, KV, Lease, Watch } from '../../../test/support/etcd-api.ts'
import { Listener } from './grpc/listener.ts'

const RUNNER = join(import.meta.dirname, '../../../test/support/embedded-store.ts')
const soon = (): AbortSignal => AbortSignal.timeout(15_000)
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

interface Outcome {
  readonly code: number | null
  readonly said: string
}

/** What `heddle store` says and ends with when it can't start. */
async function start(...flags: readonly string[]): Promise<Outcome> {
  await using store = Running.start(process.execPath, [RUNNER, ...flags])
  const timer = setTimeout(() => store.signal('SIGKILL'), 10_000)
  const { code } = await store.ended
  clearTimeout(timer)
  return { code, said: store.lines.join('\n') }
}

/** Hands out a directory and removes it afterwards. */
async function withDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'heddle-test-start-'))
  try {
    await work(directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** Every file of a directory by name and content. */
function contents(directory: string): Record<string, string> {
  const digest = (name: string) =>
    createHash('sha256')
      .update(readFileSync(join(directory, name)))
      .digest('hex')
  return Object.fromEntries(readdirSync(directory).map((name) => [name, digest(name)]))
}

/** A store's files as a kill leaves them: the log isn't in the database yet. */
async function filesOfKilledStore(directory: string): Promise<void> {
  await using server = await EtcdServer.start('embedded')
  using channel = new Channel({ endpoints: [server.endpoint] })
  for (let index = 0; index < 50; index++) {
    await channel.unary(KV.put, { key: bytes(`key/${index}`), value: bytes('x'.repeat(500)) }, soon())
  }
  await server.restart()
  await channel.unary(KV.put, { key: bytes('in the log'), value: bytes('x') }, soon())
  await server.kill()
  for (const name of readdirSync(server.folder).filter((file) => file.startsWith('store.db')))
    copyFileSync(join(server.folder, name), join(directory, name))
}

describe('a file that is no store of ours is refused and left as it is', () => {
  const cases: Record<string, { make: (path: string) => void; says: RegExp }> = {
    'some text': { make: (path) => writeFileSync(path, 'hello\n'.repeat(100)), says: /isn't a heddle store/ },
    'an empty file': { make: (path) => writeFileSync(path, ''), says: /isn't a heddle store/ },
    'another SQLite database': {
      make: (path) => {
        const other = new DatabaseSync(path)
        other.exec('CREATE TABLE t (a)')
        other.close()
      },
      says: /another SQLite database/,
    },
    'the store of a newer heddle': {
      make: (path) => {
        const newer = new DatabaseSync(path)
        newer.exec('PRAGMA application_id = 0x6865646c; PRAGMA user_version = 99; CREATE TABLE t (a)')
        newer.close()
      },
      says: /has layout 99/,
    },
    'a log without its database': {
      make: (path) => writeFileSync(`${path}-wal`, 'x'),
      says: /is missing but its log/,
    },
  }
  for (const [name, { make, says }] of Object.entries(cases)) {
    test(name, () =>
      withDirectory(async (directory) => {
        make(join(directory, 'store.db'))
        const before = contents(directory)
        const { code, said } = await start('--listen', '127.0.0.1:0', '--data-dir', directory)
        expect(said).toMatch(says)
        expect(code).toBe(1)
        expect(contents(directory)).toEqual(before)
      }),
    )
  }

  const damages: Record<string, (path: string) => void> = {
    'a damaged page': (path) => {
      const file = readFileSync(path)
      file.fill(0xa5, 4096, 12 * 4096)
      writeFileSync(path, file)
    },
    'a truncated file': (path) => truncateSync(path, 5 * 4096),
  }
  for (const [name, damage] of Object.entries(damages)) {
    test(`${name} under a log not yet written back`, () =>
      withDirectory(async (directory) => {
        await filesOfKilledStore(directory)
        damage(join(directory, 'store.db'))
        const before = contents(directory)
        const { code, said } = await start('--listen', '127.0.0.1:0', '--data-dir', directory)
        expect(said).toMatch(/store\.db is damaged \(.+\): it was left as it is/)
        expect(code).toBe(1)
        expect(contents(directory)).toEqual(before)
      }))
  }
})

test('the store of an older heddle is brought to the layout of this one, with all that is in it', async () => {
  await using server = await EtcdServer.start('embedded')
  using channel = new Channel({ endpoints: [server.endpoint] })
  await channel.unary(KV.put, { key: bytes('a'), value: bytes('1') }, soon())
  await server.process.end('SIGTERM')
  const file = new DatabaseSync(join(server.folder, 'store.db'))
  file.exec(
    'DROP TABLE user; DROP TABLE user_role; DROP TABLE role; DROP TABLE permission; PRAGMA user_version = 1',
  )
  file.close()
  await server.up()
  await channel.unary(Auth.userAdd, { name: 'ann', options: { noPassword: true } }, soon())
  await server.restart()
  expect((await channel.unary(Auth.userList, {}, soon())).users).toEqual(['ann'])
  const { kvs } = await channel.unary(KV.range, { key: bytes('a') }, soon())
  expect(kvs.map(({ value }) => Buffer.from(value).toString())).toEqual(['1'])
  await server.process.end('SIGTERM')
  using upgraded = new DatabaseSync(join(server.folder, 'store.db'), { readOnly: true })
  expect(upgraded.prepare('PRAGMA auto_vacuum').get()).toMatchObject({ auto_vacuum: 2 })
})

describe('what else prevents serving is said in a sentence', () => {
  test('another store on the same files', async () => {
    await using server = await EtcdServer.start('embedded')
    const { code, said } = await start('--listen', '127.0.0.1:0', '--data-dir', server.folder)
    expect(said).toContain('in use by another process')
    expect(code).toBe(1)
  })

  test('a port in use', () =>
    withDirectory(async (directory) => {
      await using server = await EtcdServer.start('embedded')
      const { code, said } = await start(
        '--listen',
        `127.0.0.1:0,127.0.0.1:${server.port}`,
        '--data-dir',
        join(directory, 'new'),
      )
      expect(said).toContain(`127.0.0.1:${server.port} is in use`)
      expect(code).toBe(1)
      expect(readdirSync(directory)).toEqual([])
    }))

  test('an address that is not of this host', () =>
    withDirectory(async (directory) => {
      const { code, said } = await start(
        '--listen',
        '192.0.2.1:2379',
        '--allow-plaintext',
        '--data-dir',
        directory,
      )
      expect(said).toContain("can't listen on 192.0.2.1:2379")
      expect(code).toBe(1)
    }))

  test('a data directory that is a file', () =>
    withDirectory(async (directory) => {
      const path = join(directory, 'file')
      writeFileSync(path, '')
      const { code, said } = await start('--listen', '127.0.0.1:0', '--data-dir', path)
      expect(said).toContain(`can't open ${path}/store.db`)
      expect(code).toBe(1)
    }))

  test('flags', async () => {
    for (const [flags, says] of [
      [['--listen', '192.0.2.1:2379'], '--allow-plaintext'],
      [['--listen', '127.0.0.1:2379,[::]:2379'], '[::]:2379 can be reached from other hosts'],
      [['--listen', 'example.org:2379'], "isn't ADDR:PORT"],
      [['--listen', '127.0.0.1:65536'], "isn't ADDR:PORT"],
      [['--data', 'x'], 'heddle store: unknown option --data; see heddle store --help'],
      [['stray'], 'heddle store: unexpected argument stray; see heddle store --help'],
      [['--listen', '-x'], 'heddle store: option --listen argument is ambiguous; see heddle store --help'],
      [['--watch-progress-notify-interval', 'soon'], 'takes seconds'],
      [['--auth-token-ttl', '0'], '--auth-token-ttl takes seconds'],
      [['--auto-compaction-mode', 'never'], 'never is neither periodic nor revision'],
      [['--auto-compaction-retention', 'soon'], "soon isn't a time from 1s to 365 days"],
      [['--auto-compaction-retention', '10ms'], "10ms isn't a time"],
      [
        ['--auto-compaction-mode', 'revision', '--auto-compaction-retention', '1h'],
        "1h isn't a number of revisions",
      ],
    ] as const) {
      const { code, said } = await start(...flags)
      expect(said).toContain(says)
      expect(said).not.toContain('\n')
      expect(code).toBe(2)
    }
    expect(await start('--help')).toMatchObject({ code: 0, said: expect.stringContaining('--data-dir') })
  })
})

test('who can reach it is said, and how to open it', () =>
  withDirectory(async (directory) => {
    for (const [host, says] of [
      [
        '127.0.0.1',
        /listening on 127\.0\.0\.1:(\d+) \(this machine only; --listen ADDRESS:\1 with --cert-file, .+ opens it/,
      ],
      ['[::1]', /listening on \[::1\]:\d+ \(this machine only/],
      ['0.0.0.0', /listening on 0\.0\.0\.0:\d+ \(open to whoever reaches the port, in plain text\)/],
    ] as const) {
      const flags = ['--listen', `${host}:0`, '--allow-plaintext', '--data-dir', directory]
      await using store = Running.start(process.execPath, [RUNNER, ...flags])
      await store.line(says)
    }
  }))

test('a client that comes before the database is open waits for it', async () => {
  const heard = Promise.withResolvers<string | undefined>()
  await using listener = await Listener.open({ kind: 'tcp', host: '127.0.0.1', port: 0, tls: false })
  const { address } = listener
  const port = address.kind === 'tcp' ? address.port : 0
  using channel = new Channel({ endpoints: [`http://127.0.0.1:${port}`] })
  const asking = channel.unary(KV.range, { key: bytes('a') }, soon())
  const early = connect(port, '127.0.0.1')
  await once(early, 'connect')
  early.resetAndDestroy()
  await new Promise((resolve) => setTimeout(resolve, 100))
  listener.serve({
    request: () => expect.unreachable('it speaks HTTP/2'),
    stream: (stream, headers) => {
      heard.resolve(headers[':path'])
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0' },
        { endStream: true },
      )
    },
  })
  expect(await heard.promise).toBe('/etcdserverpb.KV/Range')
  await asking.catch((error: unknown) => expect(String(error)).toContain('without a message'))
})

test('files are for their owner alone', () =>
  withDirectory(async (parent) => {
    const directory = join(parent, 'deep', 'store')
    mkdirSync(parent, { recursive: true })
    await using store = Running.start(process.execPath, [
      RUNNER,
      '--listen',
      '127.0.0.1:0',
      '--data-dir',
      directory,
    ])
    await store.line(/serving/)
    const modes = Running.start('stat', [
      '-c',
      '%a %n',
      directory,
      ...readdirSync(directory).map((f) => join(directory, f)),
    ])
    await modes.ended
    expect(modes.lines.map((line) => line.split(' ')[0])).toEqual(['700', '600', '600', '600'])
  }))

test('SIGTERM ends streams with a status and the process within 2 s', async () => {
  await using server = await EtcdServer.start('embedded')
  using channel = new Channel({ endpoints: [server.endpoint] })
  using watch = await channel.stream(Watch.watch, {}, soon())
  watch.send({ requestUnion: { case: 'createRequest', value: { key: bytes('a') } } })
  using keepAlive = await channel.stream(Lease.leaseKeepAlive, {}, soon())
  keepAlive.send({ ID: 1n })
  const endings = [watch.messages(), keepAlive.messages()].map(async (messages) => {
    await messages.next()
    return messages.next().catch((error: unknown) => error)
  })
  await new Promise((resolve) => setTimeout(resolve, 200))
  const ended = await server.process.end('SIGTERM', 2)
  expect(ended).toEqual({ code: 0, signal: null })
  for (const ending of await Promise.all(endings)) {
    expect(ending).toMatchObject({ status: 14, detail: 'etcdserver: server stopped' })
  }
})
