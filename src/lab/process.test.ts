// Real processes: found by marker and by namespace, and a record of another life of the same id is not believed.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { Namespace } from '../sys/namespace.ts'
import { endProcess, endProcesses, isAlive, labProcesses, ownRecord, startProcess } from './process.ts'

let directory = ''
beforeAll(() => (directory = mkdtempSync(join(tmpdir(), 'heddle-lab-test-'))))
afterAll(() => rmSync(directory, { recursive: true }))

const sleeper = (id: string, namespace?: Namespace) =>
  startProcess({ file: 'sleep', args: ['60'], namespace, logFile: join(directory, 'log'), id })
const newId = (): string => randomBytes(8).toString('hex')
const none: ReadonlySet<string> = new Set()

describe('processes of a lab', () => {
  test('are found by the id in their environment, and ended', async () => {
    const id = newId()
    const [one, other] = [sleeper(id), sleeper(newId())]
    try {
      expect(labProcesses({ id, namespaces: none })).toEqual([one])
      expect(await endProcesses({ id, namespaces: none })).toBe(1)
      expect([isAlive(one), isAlive(other)]).toEqual([false, true])
    } finally {
      for (const process of [one, other]) endProcess(process)
    }
  })

  test('are found by a namespace that only the lab has', async () => {
    using namespace = Namespace.create()
    const inode = namespace.run(() => readlinkSync('/proc/thread-self/ns/net'))
    const inside = sleeper(newId(), namespace)
    try {
      expect(labProcesses({ id: undefined, namespaces: new Set([inode]) })).toEqual([inside])
      expect(await endProcesses({ id: undefined, namespaces: new Set([inode]) })).toBe(1)
    } finally {
      endProcess(inside)
    }
  })

  test('are not believed by their id alone', () => {
    const record = ownRecord()
    expect(isAlive(record)).toBe(true)
    expect(isAlive({ ...record, startTicks: record.startTicks - 1 })).toBe(false)
    // Would end this very process if it were believed.
    endProcess({ ...record, startTicks: record.startTicks - 1 })
  })

  test('that do not start are reported', () => {
    const start = () =>
      startProcess({
        file: '/nonexistent',
        args: [],
        namespace: undefined,
        logFile: join(directory, 'log'),
        id: newId(),
      })
    expect(start).toThrow('did not start')
  })
})
