// Plain HTTP on the client port, with both versions of HTTP, over TCP and a UNIX socket.
import { expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EtcdServer } from '../../../../test/support/etcd.ts'
import { Running } from '../../../../test/support/process.ts'
import { RawGrpc } from '../../../../test/support/raw-grpc.ts'
import { encodeFrame } from '../../etcd/frame.ts'

const RUNNER = join(import.meta.dirname, '../../../../test/support/embedded-store.ts')

/** Status and body, as curl gets them. */
function get(url: string, ...flags: readonly string[]): string {
  const { stdout } = spawnSync('curl', ['-sS', '-m', '5', '-w', ' %{http_code}', ...flags, url], {
    encoding: 'utf8',
  })
  return stdout
}

test('health is told as etcd tells it', async () => {
  await using store = await EtcdServer.start('embedded', { inMemory: true })
  for (const version of ['--http1.1', '--http2-prior-knowledge']) {
    const ask = (path: string, ...flags: string[]) => get(`${store.endpoint}${path}`, version, ...flags)
    expect(ask('/health')).toBe('{"health":"true","reason":""} 200')
    expect(ask('/health?serializable=true')).toBe('{"health":"true","reason":""} 200')
    expect(ask('/livez')).toBe('ok\n 200')
    expect(ask('/readyz')).toBe('ok\n 200')
    expect(ask('/metrics')).toBe('404 page not found\n 404')
    expect(ask('/')).toBe('404 page not found\n 404')
  }
  expect(get(`${store.endpoint}/health`, '-X', 'PUT')).toBe('Method Not Allowed\n 405')
  expect(get(`${store.endpoint}/health`, '-X', 'POST', '-d', 'x'.repeat(100_000))).toBe(
    'Method Not Allowed\n 405',
  )
})

test('what is no HTTP, or stops in the middle, is cut off and harms nobody', async () => {
  await using store = await EtcdServer.start('embedded', { inMemory: true })
  const closed = ['nonsense\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', 'PRX / HTTP/1.1\r\n\r\n'].map(
    (words) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const socket = connect(store.port, '127.0.0.1', () => socket.write(words))
      socket.on('error', () => undefined)
      socket.on('close', () => resolve())
      socket.resume()
      return promise
    },
  )
  const half = connect(store.port, '127.0.0.1', () => half.write('PR'))
  half.on('error', () => undefined)
  await Promise.all(closed)
  expect(get(`${store.endpoint}/health`)).toContain('200')
  // Held up by nobody who is silent.
  expect(await store.process.end('SIGTERM', 2)).toEqual({ code: 0, signal: null })
})

test('a UNIX socket serves its owner', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-test-unix-'))
  const path = join(folder, 'store.socket')
  const start = (data: string): Running =>
    Running.start(process.execPath, [
      RUNNER,
      '--listen',
      `unix:${path},127.0.0.1:0`,
      '--data-dir',
      join(folder, data),
    ])
  const answered = async (): Promise<string | undefined> => {
    using grpc = new RawGrpc('http://localhost', path)
    return (await grpc.call('/etcdserverpb.Cluster/MemberList', encodeFrame(new Uint8Array(0)))).status
  }
  try {
    await using first = start('first')
    await first.line(/listening on unix:\S+store\.socket \(the owner of that file only\), 127/)
    await first.line(/serving \S+ on unix:\/\/\/\S+store\.socket, http:/)
    expect(await answered()).toBe('0')
    expect(get('http://localhost/health', '--unix-socket', path)).toContain('200')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    await using second = start('second')
    await second.line(/store\.socket is in use: another store or etcd may be running/)
    expect((await second.ended).code).toBe(1)
    await first.end('SIGKILL')
    expect(existsSync(path)).toBe(true)
    await using third = start('first')
    await third.line(/serving/)
    expect(await answered()).toBe('0')
    await third.end('SIGTERM')
    expect(existsSync(path)).toBe(false)
  } finally {
    rmSync(folder, { recursive: true })
  }
}, 60_000)
