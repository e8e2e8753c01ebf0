// Health and status over HTTP: upstream's texts, and a place that is taken is no reason to end (weak point 48).
import { afterAll, afterEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HttpPlace } from '../sys/http-listener.ts'
import type { Check } from './checks.ts'
import { StatusServer } from './server.ts'

const folder = mkdtempSync(join(tmpdir(), 'heddle-status-'))
const socket = join(folder, 'new', 'status.sock')
afterEach(() => rmSync(join(folder, 'new'), { recursive: true, force: true }))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let failure: string | undefined
const check = (name: string): Check => ({ name, failure })
/** Those who watch now. */
const watching = new Set<AbortSignal>()
async function* watched(signal: AbortSignal) {
  watching.add(signal)
  try {
    for (let number = 1; !signal.aborted; number++) {
      yield { number }
      const gone = Promise.withResolvers<void>()
      signal.addEventListener('abort', () => gone.resolve())
      if (number > 2) await gone.promise
    }
  } finally {
    watching.delete(signal)
  }
}
const source = {
  live: () => [check('ping')],
  ready: () => [check('programmed')],
  report: (): unknown => ({ phase: 'testing' }),
  drift: () => Promise.resolve({ differs: false }),
  driftChanges: watched,
  metrics: () => Promise.resolve('# HELP a A.\n# TYPE a gauge\na 1\n'),
}
const serve = (place: HttpPlace, told: string[] = []) =>
  new StatusServer(place, source, {
    onTrouble: (reason) => told.push(reason),
    onRelief: () => told.push('relief'),
    retryMs: 20,
  })

interface Answer {
  readonly code: number | undefined
  readonly type: string | undefined
  readonly body: string
}
const ask = (path: string, place: HttpPlace, method = 'GET'): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const where = 'socket' in place ? { socketPath: place.socket } : { host: place.ip, port: place.port }
    const asking = request({ ...where, path, method, agent: false }, (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => (body += chunk.toString()))
      response.on('end', () =>
        resolve({ code: response.statusCode, type: response.headers['content-type'], body }),
      )
    })
    asking.on('error', reject)
    asking.end()
  })
const text = (code: number, body: string): Answer => ({ code, type: 'text/plain; charset=utf-8', body })
const until = async (condition: () => boolean) => {
  while (!condition()) await Bun.sleep(5)
}

describe('the status server', () => {
  test('answers at once and as upstream does, whatever the method', async () => {
    const place = { socket }
    using _ = serve(place)
    failure = undefined
    expect(await ask('/healthz', place)).toEqual(text(200, 'flanneld is running'))
    expect(await ask('/livez', place)).toEqual(text(200, 'flanneld is alive'))
    expect(await ask('/readyz', place)).toEqual(text(200, 'flanneld is ready'))
    expect(await ask('/readyz?verbose', place)).toEqual(text(200, '[+]programmed ok\nflanneld is ready\n'))
    expect(await ask('/healthz', place, 'POST')).toEqual(text(200, 'flanneld is running'))
    expect(await ask('/healthz', place, 'HEAD')).toMatchObject({ code: 200, body: '' })
    for (const path of ['/', '/other', '//', '/%', '/healthz/'])
      expect((await ask(path, place)).code).toBe(404)
    failure = 'waiting'
    expect(await ask('/readyz', place)).toEqual(text(503, 'flanneld is not ready yet'))
    expect(await ask('/healthz', place)).toEqual(text(503, 'flanneld is stuck'))
    expect(await ask('/livez?verbose', place)).toEqual(
      text(503, '[-]ping failed: waiting\nflanneld is stuck\n'),
    )
  })

  test('tells the status as JSON, metrics as Prometheus wants them', async () => {
    const place = { socket }
    using _ = serve(place)
    const status = await ask('/status', place)
    expect(status.type).toBe('application/json')
    expect(JSON.parse(status.body)).toEqual({ phase: 'testing' })
    expect(await ask('/metrics', place)).toEqual({
      code: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      body: '# HELP a A.\n# TYPE a gauge\na 1\n',
    })
  })

  test('a fault in telling is an answer, not the end', async () => {
    const place = { socket }
    using _ = serve(place)
    const { report, metrics } = source
    source.report = () => {
      throw new Error('no report')
    }
    source.metrics = () => Promise.reject(new Error('no metrics'))
    expect(await ask('/status', place)).toEqual(text(500, "/status can't be told: no report\n"))
    expect(await ask('/metrics', place)).toEqual(text(500, "/metrics can't be told: no metrics\n"))
    Object.assign(source, { report, metrics })
    expect((await ask('/status', place)).code).toBe(200)
  })

  test('a port that is taken is said, and taken once it is free', async () => {
    const squatter = createServer((_, response) => response.end('squatter'))
    await new Promise<void>((done) => squatter.listen(0, '127.0.0.1', done))
    const place = { ip: '127.0.0.1', port: (squatter.address() as AddressInfo).port }
    const told: string[] = []
    using _ = serve(place, told)
    expect(told).toEqual([expect.stringContaining(`127.0.0.1:${place.port}`)])
    await until(() => told.length > 1)
    squatter.closeAllConnections()
    await new Promise((done) => squatter.close(done))
    await until(() => told.at(-1) === 'relief')
    failure = undefined
    expect((await ask('/healthz', place)).body).toBe('flanneld is running')
  })

  test('an address that is not there is waited for', () => {
    const told: string[] = []
    using _ = serve({ ip: '192.0.2.1', port: 18471 }, told)
    expect(told).toEqual([expect.stringMatching(/192\.0\.2\.1:18471: .*not available.*; trying again/)])
  })

  test('a connection that asks nothing, or half a question, holds nobody up', async () => {
    const place = { socket }
    using _ = serve(place)
    const silent = connect(socket, () => silent.write('GET /healthz HT'))
    silent.on('error', () => undefined)
    expect((await ask('/healthz', place)).code).toBe(200)
    silent.destroy()
  })

  test('the socket of a process that was killed is taken over, that of a living one is not', async () => {
    const place = { socket }
    const told: string[] = []
    {
      using _ = serve(place)
      using _second = serve(place, told)
      expect(told[0]).toContain('another process answers there')
      expect((await ask('/healthz', place)).code).toBe(200)
    }
    const script = `Bun.serve({ unix: ${JSON.stringify(socket)}, fetch: () => new Response() }); process.kill(process.pid, 'SIGKILL')`
    Bun.spawnSync([process.execPath, '-e', script])
    using _ = serve(place)
    expect((await ask('/healthz', place)).code).toBe(200)
  })

  test('a file that is no socket is left alone', () => {
    const file = join(folder, 'file')
    writeFileSync(file, 'precious')
    const told: string[] = []
    using _ = serve({ socket: file }, told)
    expect(told).toEqual([expect.stringContaining('no socket')])
  })
})

describe('drift', () => {
  /** The lines so far, and an end to the watching. */
  const watch = (place: HttpPlace) => {
    const lines: string[] = []
    let isOver = false
    const where = 'socket' in place ? { socketPath: place.socket } : { host: place.ip, port: place.port }
    const asking = request({ ...where, path: '/drift?watch', agent: false }, (response) => {
      response.on('data', (chunk: Buffer) => lines.push(...chunk.toString().trim().split('\n')))
      response.on('close', () => (isOver = true))
      response.on('error', () => (isOver = true))
    })
    asking.on('error', () => (isOver = true))
    asking.end()
    return { lines, leave: () => asking.destroy(), over: () => isOver }
  }

  test('is told once, or as lines while somebody watches', async () => {
    const place = { socket }
    const server = serve(place)
    expect(await ask('/drift', place)).toEqual({
      code: 200,
      type: 'application/json',
      body: '{"differs":false}\n',
    })
    const [one, other] = [watch(place), watch(place)]
    await until(() => one.lines.length === 3 && other.lines.length === 3)
    expect(one.lines).toEqual(['{"number":1}', '{"number":2}', '{"number":3}'])
    expect(watching.size).toBe(2)
    one.leave()
    await until(() => watching.size === 1)
    // The end of the daemon is the end of watching.
    server[Symbol.dispose]()
    await until(() => other.over() && watching.size === 0)
  })

  test('is watched for longer than the runtime lets a silent connection live', async () => {
    const { promise: port, resolve } = Promise.withResolvers<number>()
    const free = createServer().listen(0, '127.0.0.1', () => resolve((free.address() as AddressInfo).port))
    const places = [{ socket }, { ip: '127.0.0.1', port: await port }] as const
    await new Promise((done) => free.close(done))
    const servers = places.map((place) => serve(place))
    const watchers = places.map(watch)
    await until(() => watchers.every(({ lines }) => lines.length === 3))
    // Ten seconds, looked at each four.
    await Bun.sleep(14_000)
    expect(watchers.map(({ over }) => over())).toEqual([false, false])
    for (const server of servers) server[Symbol.dispose]()
    await until(() => watching.size === 0)
  }, 60_000)

  test('is watched by a few at a time', async () => {
    const place = { socket }
    using _ = serve(place)
    const watchers = Array.from({ length: 40 }, () => watch(place))
    await until(() => watchers.filter(({ over }) => over()).length === 24)
    await until(() => watching.size === 16)
    expect(await ask('/drift?watch', place)).toMatchObject({ code: 503, body: expect.stringContaining('16') })
    expect((await ask('/drift?watch', place, 'HEAD')).code).toBe(503)
    for (const { leave } of watchers) leave()
    await until(() => watching.size === 0)
    expect(await ask('/drift?watch', place, 'HEAD')).toMatchObject({ code: 200, body: '' })
    const again = watch(place)
    await until(() => again.lines.length === 3)
    expect(watching.size).toBe(1)
  })
})
