// State files: one an attachment, a name for upstream's plugin, and upstream's own files read.
import { describe, expect, test } from 'bun:test'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readState, removeState, writeState } from './state.ts'

function place() {
  const root = mkdtempSync(join(tmpdir(), 'heddle-state-'))
  const dataDir = join(root, 'flannel')
  return {
    dataDir,
    of: (ifname: string) => ({ dataDir, containerId: 'c1', ifname }),
    files: () => readdirSync(dataDir).sort(),
    [Symbol.dispose]: () => rmSync(root, { recursive: true }),
  }
}

describe('state', () => {
  test("is kept for root alone, under its own name and under upstream's", () => {
    using at = place()
    writeState(at.of('eth0'), '{"a":1}')
    expect(at.files()).toEqual(['c1', 'c1-eth0'])
    expect(readFileSync(join(at.dataDir, 'c1'), 'utf8')).toBe('{"a":1}')
    expect(statSync(join(at.dataDir, 'c1-eth0')).mode & 0o777).toBe(0o600)
    expect(statSync(at.dataDir).mode & 0o777).toBe(0o700)
    expect(readState(at.of('eth0'))).toBe('{"a":1}')
    removeState(at.of('eth0'))
    removeState(at.of('eth0'))
    expect(at.files()).toEqual([])
    expect(readState(at.of('eth0'))).toBeUndefined()
  })

  test('of two interfaces of one container is two states', () => {
    using at = place()
    writeState(at.of('eth0'), 'first')
    writeState(at.of('net1'), 'second')
    expect(at.files()).toEqual(['c1', 'c1-eth0', 'c1-net1'])
    expect([readState(at.of('eth0')), readState(at.of('net1'))]).toEqual(['first', 'second'])
    removeState(at.of('net1'))
    removeState(at.of('net1'))
    expect(readState(at.of('net1'))).toBeUndefined()
    expect(readState(at.of('eth0'))).toBe('first')
    removeState(at.of('eth0'))
    expect(at.files()).toEqual([])
  })

  test('that upstream wrote is read, and removed when it is done with', () => {
    using at = place()
    mkdirSync(at.dataDir)
    writeFileSync(join(at.dataDir, 'c1'), 'upstream')
    expect(readState(at.of('eth0'))).toBe('upstream')
    writeState(at.of('net1'), 'ours')
    removeState(at.of('net1'))
    expect(readState(at.of('eth0'))).toBe('upstream')
    removeState(at.of('eth0'))
    expect(existsSync(join(at.dataDir, 'c1'))).toBe(false)
  })

  test('written twice is the later one', () => {
    using at = place()
    writeState(at.of('eth0'), 'one')
    writeState(at.of('eth0'), 'two')
    expect(readState(at.of('eth0'))).toBe('two')
    expect(readFileSync(join(at.dataDir, 'c1'), 'utf8')).toBe('two')
    removeState(at.of('eth0'))
    expect(at.files()).toEqual([])
  })
})
