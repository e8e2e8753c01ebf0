// The embedded store behind TLS: who gets in, by which files, and what becomes of files that are replaced.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Authority, type Validity } from '../../../../test/support/authority.ts'
import { KV } from '../../../../test/support/etcd-api.ts'
import { EtcdServer, ETCD_KINDS } from '../../../../test/support/etcd.ts'
import { Running } from '../../../../test/support/process.ts'
import { materialOf, TlsFolder, type KeyPair } from '../../../../test/support/tls-files.ts'
import { TestWatch } from '../../../../test/support/watch.ts'
import { Channel } from '../../etcd/channel.ts'

const RUNNER = join(import.meta.dirname, '../../../../test/support/embedded-store.ts')
const soon = (): AbortSignal => AbortSignal.timeout(15_000)
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

const folder = new TlsFolder()
afterAll(() => folder[Symbol.dispose]())
const [root, otherRoot] = [new Authority('ca'), new Authority('other-ca')]
const ca = folder.put('ca.pem', root.cert)
const otherCa = folder.put('other-ca.pem', otherRoot.cert)
/** Files for a server on this machine, or for a client. */
const issue = (name: string, by = root, validity: Validity = {}): KeyPair =>
  folder.write(name, by.issue({ name, hosts: ['127.0.0.1', 'localhost'], ...validity }))
const inDays = (days: number): Validity => ({ notAfter: new Date(Date.now() + days * 24 * 3600 * 1000) })
const server = issue('server')
const client = issue('client')
const stranger = issue('stranger', otherRoot)
const late = issue('late', root, inDays(-1))

/** What becomes of a put with that certificate: `done`, or why not. */
async function put(endpoint: string, own?: KeyPair, serverCa = ca): Promise<string> {
  using channel = new Channel({ endpoints: [endpoint], tls: materialOf(serverCa, own), deadlineMs: 3_000 })
  const putting = channel.unary(KV.put, { key: bytes('a'), value: bytes('b') }, soon())
  return await putting.then(
    () => 'done',
    (error: unknown) => String(error),
  )
}

/** The session ticket of a TLS connection that HTTP/2 answers on; undefined where none does. */
async function ticketOf(port: number, options: ConnectionOptions): Promise<Buffer | undefined> {
  const socket = connectTls({ ...options, port, host: '127.0.0.1', ALPNProtocols: ['h2'] })
  let ticket: Buffer | undefined
  let answered = false
  socket.on('session', (session: Buffer) => (ticket = session))
  socket.on('secureConnect', () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'))
  socket.on('error', () => undefined)
  socket.once('data', () => {
    answered = true
    socket.end()
  })
  socket.resume()
  await once(socket, 'close')
  return answered ? ticket : undefined
}

for (const kind of ETCD_KINDS) {
  describe(`a store that wants client certificates: ${kind}`, () => {
    let store: EtcdServer
    beforeAll(async () => {
      store = await EtcdServer.start(kind, { inMemory: true, tls: { ...server, clientCa: ca } })
    })
    afterAll(() => store[Symbol.asyncDispose]())

    test('lets in who shows one of its CA, and nobody else', async () => {
      expect(await put(store.endpoint, client)).toBe('done')
      for (const own of [undefined, stranger, late]) expect(await put(store.endpoint, own)).not.toBe('done')
      expect(await put(store.endpoint, client, otherCa)).toMatch(/certificate/)
      expect(await put(store.endpoint.replace('https', 'http'), client)).not.toBe('done')
    })

    test('serves etcdctl and health to them alone', () => {
      const etcdctl = (...flags: string[]) =>
        spawnSync('etcdctl', [`--endpoints=${store.endpoint}`, '--cacert', ca, ...flags], {
          encoding: 'utf8',
          env: { ...process.env, ETCDCTL_API: '3' },
        })
      const own = ['--cert', client.cert, '--key', client.key]
      expect(
        etcdctl(...own, 'endpoint', 'health').stdout + etcdctl(...own, 'endpoint', 'health').stderr,
      ).toContain('is healthy')
      expect(etcdctl('--dial-timeout=1s', '--command-timeout=1s', 'get', 'a').status).not.toBe(0)
      const curl = (...flags: string[]) =>
        spawnSync('curl', ['-sS', '-m', '5', '--cacert', ca, ...flags, `${store.endpoint}/health`], {
          encoding: 'utf8',
        })
      for (const version of ['--http1.1', '--http2']) {
        expect(JSON.parse(curl(version, ...own).stdout)).toMatchObject({ health: 'true' })
        const refused = curl(version)
        expect(refused.stdout).toBe('')
        expect(refused.status).not.toBe(0)
      }
    })
  })
}

describe('a store with a client CA', () => {
  const start = (...flags: string[]) =>
    EtcdServer.start('embedded', { inMemory: true, tls: { ...server, clientCa: ca }, flags })

  test('says why it refused a connection, and who can get in', async () => {
    await using store = await start()
    await store.process.line(/listening on \S+ \(this machine only, by TLS\)/)
    await put(store.endpoint)
    await store.process.line(/refused a connection to \S+: peer did not return a certificate/)
    await put(store.endpoint, late)
    await store.process.line(/refused a connection to \S+: certificate has expired/)
  })

  test('may do without certificates, but not with bad ones', async () => {
    await using store = await start('--client-cert-optional')
    expect(await put(store.endpoint)).toBe('done')
    expect(await put(store.endpoint, client)).toBe('done')
    expect(await put(store.endpoint, stranger)).not.toBe('done')
    expect(await put(store.endpoint, late)).not.toBe('done')
    await store.process.line(/refused a connection to \S+: the client's certificate: /)
  })

  test('does not end by connections that say nothing, nonsense, or break off', async () => {
    await using store = await start()
    for (const word of [
      '',
      'GET /health HTTP/1.1\r\n\r\n',
      '\x16\x03\x01\x00\x05hello',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    ]) {
      const socket = connect(store.port, '127.0.0.1')
      await once(socket, 'connect')
      await new Promise((resolve) => socket.write(word, resolve))
      socket.destroy()
    }
    expect(await put(store.endpoint, client)).toBe('done')
  })
})

test('who says nothing, or does not go on, is cut off after ten seconds', async () => {
  await using plain = await EtcdServer.start('embedded', { inMemory: true })
  await using secure = await EtcdServer.start('embedded', {
    inMemory: true,
    tls: { ...server, clientCa: ca },
  })
  const cutOff = [plain, secure].flatMap(({ port }) =>
    ['', 'P', '\x16\x03\x01\x02\x00\x01'].map(async (words) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(words))
      socket.on('error', () => undefined)
      socket.resume()
      await once(socket, 'close')
    }),
  )
  await Promise.all(cutOff)
  await secure.process.line(/refused a connection to \S+: TLS handshake timeout/)
  expect(await put(secure.endpoint, client)).toBe('done')
}, 60_000)

describe('files replaced while it runs', () => {
  test('are used by the next connection, and the old connection goes on', async () => {
    const used = issue('used')
    await using store = await EtcdServer.start('embedded', { inMemory: true, tls: { ...used, clientCa: ca } })
    using old = await TestWatch.open(store.endpoint, {}, { tls: materialOf(ca, client) })
    old.create({ key: bytes('a') })
    await old.next()
    issue('used', otherRoot)
    expect(await put(store.endpoint, client)).toMatch(/certificate/)
    expect(await put(store.endpoint, client, otherCa)).toBe('done')
    expect((await old.next())?.events).toHaveLength(1)
    await store.process.line(/new connections use the changed \S+used\.pem/)
  })

  test('change who may come, when it is the CA of the clients', async () => {
    const clientRoot = new Authority('client-ca')
    const clientCa = folder.put('client-ca.pem', clientRoot.cert)
    const [ours, theirs] = [issue('ours', clientRoot), stranger]
    const resumable = { ca: readFileSync(ca), cert: readFileSync(ours.cert), key: readFileSync(ours.key) }
    await using store = await EtcdServer.start('embedded', { inMemory: true, tls: { ...server, clientCa } })
    expect(await put(store.endpoint, ours)).toBe('done')
    expect(await put(store.endpoint, theirs)).not.toBe('done')
    const session = await ticketOf(store.port, resumable)
    expect(await ticketOf(store.port, { ...resumable, session })).toBeDefined()
    folder.put('client-ca.pem', otherRoot.cert)
    expect(await put(store.endpoint, ours)).not.toBe('done')
    expect(await put(store.endpoint, theirs)).toBe('done')
    // Nor by a session of before.
    expect(await ticketOf(store.port, { ...resumable, session })).toBeUndefined()
  })

  test('that can not be used are told once, and what was read before stays until they can', async () => {
    const used = issue('half')
    const next = root.issue({ name: 'whole', hosts: ['127.0.0.1'] })
    await using store = await EtcdServer.start('embedded', { inMemory: true, tls: { ...used, clientCa: ca } })
    for (const [break_, says] of [
      [
        () => folder.put('half.pem', next.cert),
        /key-file \S+half\.key can't be used: it doesn't belong to the certificate in \S+half\.pem; the one read before stays/,
      ],
      [
        () => folder.put('half.pem', 'half a fi'),
        /cert-file \S+half\.pem can't be used: no certificate in PEM form is in it; the one/,
      ],
      [() => rmSync(used.cert), /cert-file \S+half\.pem can't be used: ENOENT/],
    ] as const) {
      break_()
      expect(await put(store.endpoint, client)).toBe('done')
      expect(await put(store.endpoint, client)).toBe('done')
      await store.process.line(says)
    }
    folder.write('half', next)
    expect(await put(store.endpoint, client)).toBe('done')
    await store.process.line(/new connections use the changed/)
    expect(store.process.matching(/can't be used/)).toHaveLength(3)
  })
})

test('certificates that expire soon, or have, are told at the start', async () => {
  const soonOver = issue('soon-over', root, inDays(9))
  await using store = await EtcdServer.start('embedded', { inMemory: true, tls: soonOver })
  await store.process.line(
    /^W.* the certificate of CN=soon-over in \S+soon-over\.pem expires in 8 days, on \d{4}-\d\d-\d\d: put/,
  )
  await using over = await EtcdServer.start('embedded', { inMemory: true, tls: late })
  await over.process.line(/^E.* the certificate of CN=late in \S+late\.pem has expired on \d{4}-/)
})

describe('what can not be used is said in a sentence before anything is made', () => {
  const cases: Record<string, [readonly string[], RegExp, number]> = {
    'a missing file': [
      ['--cert-file', '/nonexistent', '--key-file', server.key],
      /--cert-file \/nonexistent can't be used: ENOENT/,
      1,
    ],
    'a key of another': [
      ['--cert-file', server.cert, '--key-file', client.key],
      /--key-file \S+client\.key can't be used: it doesn't belong/,
      1,
    ],
    'a certificate for a key': [
      ['--cert-file', server.cert, '--key-file', server.cert],
      /--key-file \S+ can't be used: no private key/,
      1,
    ],
    'a key for a certificate': [
      ['--cert-file', server.key, '--key-file', server.key],
      /--cert-file \S+ can't be used: no certificate in PEM/,
      1,
    ],
    'a CA that is none': [
      ['--cert-file', server.cert, '--key-file', server.key, '--trusted-ca-file', server.key],
      /--trusted-ca-file \S+ can't be used/,
      1,
    ],
    'half of a pair': [
      ['--cert-file', server.cert],
      /--cert-file and --key-file together: --key-file is missing/,
      2,
    ],
    'a CA alone': [['--trusted-ca-file', ca], /together: --cert-file is missing/, 2],
    'a certificate to be optional without a CA': [
      ['--client-cert-optional'],
      /goes with --trusted-ca-file/,
      2,
    ],
    'https without a certificate': [
      ['--listen', 'https://127.0.0.1:0'],
      /wants TLS: give --cert-file and --key-file/,
      2,
    ],
    'plain text beyond this machine beside TLS': [
      ['--cert-file', server.cert, '--key-file', server.key, '--listen', '127.0.0.1:0,http://0.0.0.0:0'],
      /0\.0\.0\.0:0 can be reached from other hosts, and without TLS/,
      2,
    ],
  }
  test.each(Object.entries(cases))('%s', async (_, [flags, says, code]) => {
    const directory = mkdtempSync(join(tmpdir(), 'heddle-test-tls-'))
    try {
      const listen = flags.includes('--listen') ? [] : ['--listen', '127.0.0.1:0']
      await using store = Running.start(process.execPath, [
        RUNNER,
        ...listen,
        '--data-dir',
        directory,
        ...flags,
      ])
      expect((await store.ended).code).toBe(code)
      expect(store.lines.join('\n')).toMatch(says)
      expect(store.lines).toHaveLength(1)
      expect(readdirSync(directory)).toEqual([])
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})

test('with a certificate it may be open to other hosts, and says to whom', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'heddle-test-tls-'))
  try {
    const files = ['--cert-file', server.cert, '--key-file', server.key, '--data-dir', directory]
    for (const [more, says] of [
      [[], /listening on 0\.0\.0\.0:\d+ \(open to whoever reaches the port, by TLS\)/],
      [
        ['--trusted-ca-file', ca],
        /listening on 0\.0\.0\.0:\d+ \(open to clients with a certificate signed by \S+ca\.pem\)/,
      ],
    ] as const) {
      await using store = Running.start(process.execPath, [
        RUNNER,
        '--listen',
        '0.0.0.0:0,http://127.0.0.1:0',
        ...files,
        ...more,
      ])
      await store.line(says)
      expect(store.lines.join()).toMatch(/, 127\.0\.0\.1:\d+ \(this machine only\)/)
      await store.line(/serving \S+store\.db on https:\/\/0\.0\.0\.0:\d+, http:\/\/127\.0\.0\.1:\d+/)
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
})
