// Health and status over HTTP: upstream's texts, and a place that is taken is no reason to end (weak point 48).
import { afterAll, afterEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StatusServer, type Place } from './server.ts'

const folder = mkdtempSync(join(tmpdir(), 'heddle-status-'))
const socket = join(folder, 'new', 'status.sock')
afterEach(() => rmSync(join(folder, 'new'), { recursive: true, force: true }))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const source = { ready: false, report: () => ({ phase: 'testing' }) }
const serve = (place: Place, told: string[] = []) =>
  new StatusServer(place, source, (reason) => told.push(reason), 50)

interface Answer {
  readonly code: number | undefined
  readonly body: string
}
const ask = (path: string, place: Place, method = 'GET'): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const where = 'socket' in place ? { socketPath: place.socket } : { host: place.ip, port: place.port }
    const asking = request({ ...where, path, method, agent: false }, (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => (body += chunk.toString()))
      response.on('end', () => resolve({ code: response.statusCode, body }))
    })
    asking.on('error', reject)
    asking.end()
  })
/** Asks until somebody answers. */
async function answered(path: string, place: Place): Promise<Answer> {
  for (let tries = 0; ; tries++)
    try {
      return await ask(path, place)
    } catch (error) {
      if (tries > 200) throw error
      await Bun.sleep(10)
    }
}

describe('the status server', () => {
  test('answers as upstream does, and tells the status as JSON', async () => {
    const place = { socket }
    await using _ = serve(place)
    expect(await answered('/healthz', place)).toEqual({ code: 200, body: 'flanneld is running' })
    expect(await ask('/readyz', place)).toEqual({ code: 503, body: 'flanneld is not ready yet' })
    source.ready = true
    expect(await ask('/readyz?verbose', place)).toEqual({ code: 200, body: 'flanneld is ready' })
    source.ready = false
    const status = await ask('/status', place)
    expect(JSON.parse(status.body)).toEqual({ phase: 'testing' })
    for (const path of ['/other', '//', '/%']) expect((await ask(path, place)).code).toBe(404)
    expect(await ask('/healthz', place, 'HEAD')).toEqual({ code: 200, body: '' })
  })

  test('a port that is taken is said, and taken once it is free', async () => {
    const squatter = createServer((_, response) => response.end('squatter'))
    await new Promise<void>((done) => squatter.listen(0, '127.0.0.1', done))
    const place = { ip: '127.0.0.1', port: (squatter.address() as AddressInfo).port }
    const told: string[] = []
    await using _ = serve(place, told)
    while (told.length === 0) await Bun.sleep(5)
    expect(told[0]).toContain(`127.0.0.1:${place.port}`)
    squatter.closeAllConnections()
    await new Promise((done) => squatter.close(done))
    expect((await answered('/healthz', place)).body).toBe('flanneld is running')
  })

  test('the socket of a process that was killed is taken over, that of a living one is not', async () => {
    const place = { socket }
    const told: string[] = []
    {
      await using _ = serve(place)
      await answered('/healthz', place)
      await using second = serve(place, told)
      while (told.length === 0) await Bun.sleep(5)
      expect(told[0]).toContain('another process answers there')
      expect((await ask('/healthz', place)).code).toBe(200)
      expect(second).toBeDefined()
    }
    writeFileSync(socket, 'left behind')
    await using _ = serve(place)
    expect((await answered('/healthz', place)).code).toBe(200)
  })
})
