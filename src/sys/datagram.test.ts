// Datagrams to a real UNIX socket, in the file system and in the abstract name space, a full one and one that is gone.
import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatagramInbox } from '../../test/support/datagrams.ts'
import { arenaBytesInUse } from './arena.ts'
import { DatagramSender } from './datagram.ts'
import { isSysError } from './errno.ts'

const folder = mkdtempSync(join(tmpdir(), 'heddle-datagram-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const caught = (act: () => unknown): unknown => {
  try {
    return act()
  } catch (error) {
    return error
  }
}

for (const [name, path] of [
  ['of the file system', join(folder, 'inbox')],
  ['of the abstract name space', `@heddle-test-${process.pid}`],
  ['as long as an abstract one can be', `@${`${process.pid}`.padEnd(107, 'x')}`],
] as const)
  test(`a datagram reaches a socket ${name}`, () => {
    using inbox = new DatagramInbox(path)
    using sender = new DatagramSender(path)
    expect([sender.send('READY=1\nSTATUS=läuft'), sender.send('WATCHDOG=1')]).toEqual([true, true])
    expect(inbox.take()).toEqual(['READY=1\nSTATUS=läuft', 'WATCHDOG=1'])
  })

test('a receiver that reads nothing is no reason to wait', () => {
  using inbox = new DatagramInbox(join(folder, 'full'))
  using sender = new DatagramSender(inbox.path)
  let sent = 0
  while (sender.send(`${sent}`)) sent++
  expect(sent).toBeGreaterThan(0)
  expect(inbox.take()).toHaveLength(sent)
  expect(sender.send('again')).toBe(true)
})

describe('nobody receives', () => {
  test('where there is no socket', () => {
    using sender = new DatagramSender(join(folder, 'none'))
    expect(
      isSysError(
        caught(() => sender.send('x')),
        'ENOENT',
      ),
    ).toBe(true)
  })
  test('on a socket that was closed', () => {
    const inbox = new DatagramInbox(join(folder, 'closed'))
    inbox[Symbol.dispose]()
    using sender = new DatagramSender(inbox.path)
    expect(
      isSysError(
        caught(() => sender.send('x')),
        'ECONNREFUSED',
      ),
    ).toBe(true)
  })
})

test('what can’t be an address is refused, and nothing is kept', () => {
  const before = arenaBytesInUse()
  for (const bad of ['', '@', 'x'.repeat(108), '/a\0b'])
    expect(caught(() => new DatagramSender(bad))).toBeInstanceOf(RangeError)
  expect(arenaBytesInUse()).toBe(before)
})
