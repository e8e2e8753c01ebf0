// What systemd hears, on a real UNIX datagram socket that takes its place.
import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatagramInbox } from '../../test/support/datagrams.ts'
import { ServiceManager, type Environment } from './service-manager.ts'

const folder = mkdtempSync(join(tmpdir(), 'heddle-notify-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let stuck: string | undefined
function manager(environment: Environment) {
  const troubles: string[] = []
  const made = new ServiceManager(environment, {
    onTrouble: (reason) => troubles.push(reason),
    stuck: () => stuck,
  })
  return { manager: made, troubles, [Symbol.dispose]: () => made[Symbol.dispose]() }
}

test('a life, from start to stop', () => {
  using inbox = new DatagramInbox(join(folder, 'life'))
  const environment: Environment = { NOTIFY_SOCKET: inbox.path, PATH: '/bin' }
  using it = manager(environment)
  expect(environment).toEqual({ PATH: '/bin' })
  it.manager.status('waiting\nfor a lease')
  it.manager.reloading()
  it.manager.ready()
  it.manager.ready()
  it.manager.reloading()
  it.manager.reloaded()
  it.manager.stopping('bye')
  it.manager.status('never told')
  expect(inbox.take()).toEqual([
    'STATUS=waiting for a lease',
    'READY=1',
    expect.stringMatching(/^RELOADING=1\nMONOTONIC_USEC=\d+$/),
    'READY=1',
    'STOPPING=1\nSTATUS=bye',
  ])
  expect(it.troubles).toEqual([])
})

test('a receiver that is busy hears the newest as soon as it listens, and READY for certain', async () => {
  using inbox = new DatagramInbox(`@heddle-busy-${process.pid}`)
  using it = manager({ NOTIFY_SOCKET: inbox.path })
  for (let i = 0; i < 2000; i++) it.manager.status(`step ${i}`)
  it.manager.ready()
  const before = inbox.take().length
  expect(before).toBeLessThan(2000)
  expect(await inbox.message(/READY=1/)).toBe('STATUS=step 1999\nREADY=1')
})

describe('the watchdog', () => {
  test('is fed while the daemon is alive, and only then', async () => {
    using inbox = new DatagramInbox(join(folder, 'watchdog'))
    stuck = undefined
    using it = manager({ NOTIFY_SOCKET: inbox.path, WATCHDOG_USEC: '100000', WATCHDOG_PID: `${process.pid}` })
    await inbox.message(/WATCHDOG=1/, { from: 2 })
    stuck = 'a round takes too long'
    inbox.take()
    while (it.troubles.length === 0) await Bun.sleep(5)
    expect(it.troubles[0]).toContain('a round takes too long')
    expect(inbox.take()).toEqual([])
    stuck = undefined
    await inbox.message(/WATCHDOG=1/, { from: inbox.received.length })
  })

  for (const [name, more] of [
    ['not asked for', {}],
    ['asked of another process', { WATCHDOG_USEC: '100000', WATCHDOG_PID: '1' }],
    ['too short to be meant', { WATCHDOG_USEC: '5' }],
    ['no number', { WATCHDOG_USEC: 'banana' }],
  ] as const)
    test(`${name}: nothing is sent`, async () => {
      using inbox = new DatagramInbox(join(folder, name))
      using _ = manager({ NOTIFY_SOCKET: inbox.path, ...more })
      await Bun.sleep(120)
      expect(inbox.take()).toEqual([])
    })
})

test('without systemd nothing happens, and one that is gone is told of', () => {
  using none = manager({})
  none.manager.ready()
  none.manager.stopping('')
  expect(none.troubles).toEqual([])
  using gone = manager({ NOTIFY_SOCKET: join(folder, 'gone') })
  gone.manager.ready()
  expect(gone.troubles).toEqual([expect.stringContaining('ENOENT')])
  using bad = manager({ NOTIFY_SOCKET: 'x'.repeat(200) })
  bad.manager.ready()
  expect(bad.troubles).toEqual([expect.stringContaining("can't be the address")])
})
