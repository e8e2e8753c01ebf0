// The directory of a lab, on a real file system.
import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DIRECTORY_VARIABLE, LabDirectory, labDirectory } from './directory.ts'
import { DEFAULTS } from './plan.ts'

let base = ''
beforeEach(() => void (base = mkdtempSync(join(tmpdir(), 'heddle-lab-test-'))))
afterEach(() => rmSync(base, { recursive: true, force: true }))

describe('the directory of a lab', () => {
  test('is made whole and removed whole', () => {
    const lab = new LabDirectory(join(base, 'new', 'lab'))
    lab.create('id', DEFAULTS, 'mnt:[1]')
    lab.writeProcess('h1', { pid: 1, startTicks: 2 })
    expect(lab.record()).toMatchObject({ id: 'id', complete: false, parameters: DEFAULTS })
    expect(lab.process('h1')).toEqual({ pid: 1, startTicks: 2 })
    expect(lab.remove()).toBe(true)
    expect(existsSync(lab.path)).toBe(false)
  })

  test('that was there before stays, empty', () => {
    mkdirSync(join(base, 'mine'))
    const lab = new LabDirectory(join(base, 'mine'))
    lab.create('id', DEFAULTS, 'mnt:[1]')
    lab.remove()
    expect(readdirSync(join(base, 'mine'))).toEqual([])
  })

  test("is never one with somebody's files, nor is such a one removed", () => {
    writeFileSync(join(base, 'thesis.txt'), 'precious')
    const lab = new LabDirectory(base)
    expect(() => lab.create('id', DEFAULTS, 'mnt:[1]')).toThrow('holds thesis.txt')
    expect(lab.remove()).toBe(false)
    expect(readdirSync(base)).toEqual(['thesis.txt'])
  })

  test('of an `up` that was killed before its record was whole is removed too', () => {
    mkdirSync(join(base, 'lab'))
    writeFileSync(join(base, 'lab', '.lab.json.123-abc.tmp'), '{"for')
    const lab = new LabDirectory(join(base, 'lab'))
    expect(lab.remove()).toBe(true)
    expect(existsSync(lab.path)).toBe(false)
  })

  test('with too long a name is refused, because of its sockets', () => {
    expect(() => new LabDirectory(`/tmp/${'x'.repeat(90)}`).create('id', DEFAULTS, 'mnt:[1]')).toThrow(
      'too long a name',
    )
  })

  test('is none where a name is empty: refused as --dir, as if unset in the environment', () => {
    expect(() => labDirectory('')).toThrow('--dir is empty')
    const before = process.env[DIRECTORY_VARIABLE]
    delete process.env[DIRECTORY_VARIABLE]
    const unset = labDirectory().path
    process.env[DIRECTORY_VARIABLE] = ''
    try {
      expect(labDirectory().path).toBe(unset)
    } finally {
      if (before === undefined) delete process.env[DIRECTORY_VARIABLE]
      else process.env[DIRECTORY_VARIABLE] = before
    }
  })

  test("that can't be made is refused with a sentence", () => {
    writeFileSync(join(base, 'file'), '')
    for (const [path, sentence] of [
      ['/proc/x', "--dir /proc/x can't be made here (ENOENT)"],
      [join(base, 'file'), 'file is not a directory'],
      [join(base, 'file', 'below'), 'below is not a directory'],
    ] as const)
      expect(() => new LabDirectory(path).create('id', DEFAULTS, 'mnt:[1]')).toThrow(sentence)
  })

  test('is worked on by one command at a time, and a dead one does not count', () => {
    const lab = new LabDirectory(join(base, 'lab'))
    lab.create('id', DEFAULTS, 'mnt:[1]')
    const held = lab.lock('up')
    expect(() => lab.lock('down')).toThrow(
      `\`heddle lab up\` is at work on this lab (process ${process.pid})`,
    )
    held[Symbol.dispose]()
    writeFileSync(join(lab.path, 'lock'), JSON.stringify({ command: 'up', pid: process.pid, startTicks: 1 }))
    using _ = lab.lock('down')
    expect(readdirSync(lab.path).filter((name) => name.startsWith('lock'))).toEqual(['lock'])
  })
})
