// The conf file: where it is looked for, what it gives, and that a bad one is refused with its line and column.
import { afterAll, describe, expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readOptions, type Parsed } from '../../options.ts'

const folder = mkdtempSync(join(tmpdir(), 'heddle-conf-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = join(folder, 'flanneld.conf')
const corpus = join(import.meta.dirname, 'corpus')

const read = (text: string | Uint8Array, args: string[] = [], environment = {}): Promise<Parsed> => {
  writeFileSync(file, text)
  return readOptions(args, environment, file)
}
const valuesOf = (parsed: Parsed, ...names: string[]): unknown[] => {
  if (parsed.kind !== 'options') throw new Error(JSON.stringify(parsed))
  return names.map((name) => parsed.settings.get(name)?.value)
}

describe('the conf file', () => {
  test('is not missed where it usually is, but where it is named', async () => {
    const absent = join(folder, 'absent.conf')
    for (const usual of [absent, join(folder, 'flanneld.conf', 'below-a-file')]) {
      writeFileSync(file, '')
      expect(await readOptions([], {}, usual)).toMatchObject({ kind: 'options' })
      expect(await readOptions([], {}, usual)).not.toHaveProperty('confFile')
    }
    for (const parsed of [
      await readOptions([`--config-file=${absent}`], {}, file),
      await readOptions([], { FLANNELD_CONFIG_FILE: absent }, file),
    ])
      expect(parsed).toEqual({
        kind: 'refused',
        reason: `${absent} (--config-file): ENOENT: no such file or directory`,
      })
  })

  test('is the one that is named, or none at all', async () => {
    const other = join(folder, 'other.conf')
    writeFileSync(file, 'FLANNELD_V=1')
    writeFileSync(other, 'FLANNELD_V=2')
    expect(valuesOf(await readOptions([], {}, file), 'v', 'config-file')).toEqual([
      1,
      '/etc/flannel/flanneld.conf',
    ])
    expect(valuesOf(await readOptions([`--config-file=${other}`], {}, file), 'v', 'config-file')).toEqual([
      2,
      other,
    ])
    expect(valuesOf(await readOptions(['--config-file='], {}, file), 'v')).toEqual([0])
  })

  test('that can’t be read is refused, and so is what is no file', async () => {
    mkdirSync(join(folder, 'directory'))
    expect(await readOptions([], {}, join(folder, 'directory'))).toMatchObject({
      reason: expect.stringContaining('is no file'),
    })
    expect(await readOptions([], {}, '/dev/zero')).toMatchObject({
      reason: expect.stringContaining('is no file'),
    })
    expect(await read(new Uint8Array((1 << 16) + 1))).toMatchObject({
      reason: expect.stringContaining('65537 bytes'),
    })
  })

  test('is beaten by the environment, and both by flags', async () => {
    const text = 'FLANNELD_V=1\nFLANNELD_IFACE=a\nFLANNELD_ETCD_PREFIX=/file'
    const environment = { FLANNELD_IFACE: 'b', FLANNELD_ETCD_PREFIX: '/environment' }
    const parsed = await read(text, ['--etcd-prefix=/flag'], environment)
    expect(valuesOf(parsed, 'v', 'iface', 'etcd-prefix')).toEqual([1, ['b'], '/flag'])
    expect(parsed).toMatchObject({ kind: 'options', confFile: file })
    expect(parsed.kind === 'options' && parsed.settings.get('v')?.origin).toEqual({
      kind: 'file',
      name: 'FLANNELD_V',
      place: { file, line: 1, column: 1 },
    })
  })

  test('has what distributions’ start scripts make flags of, in their order of strength', async () => {
    const endpoints = async (text: string) => valuesOf(await read(text), 'etcd-endpoints', 'etcd-prefix')
    const weak = 'FLANNELD_ETCD_ENDPOINTS=a\nFLANNELD_ETCD_PREFIX=/a\n'
    const old = 'FLANNEL_ETCD=b\nFLANNEL_ETCD_KEY=/b\n'
    const usual = 'FLANNEL_ETCD_ENDPOINTS=c\nFLANNEL_ETCD_PREFIX=/c\n'
    const words = `FLANNEL_OPTIONS="-etcd-endpoints=d --etcd-prefix '/d e'"\n`
    expect(await endpoints(words + usual + old + weak)).toEqual(['d', '/d e'])
    expect(await endpoints(usual + old + weak)).toEqual(['c', '/c'])
    expect(await endpoints(old + weak)).toEqual(['b', '/b'])
    expect(await endpoints(`${weak}FLANNEL_ETCD=\nFLANNEL_OPTIONS=\n`)).toEqual(['a', '/a'])
  })

  test('tells the place of each flag in FLANNEL_OPTIONS, and of what is wrong with it', async () => {
    const parsed = await read('#\nFLANNEL_OPTIONS="--iface=a \\\n --v 2 --iface=b"')
    expect(parsed.kind === 'options' && parsed.settings.get('v')?.origin).toEqual({
      kind: 'file',
      name: '--v in FLANNEL_OPTIONS',
      place: { file, line: 3, column: 2 },
    })
    expect(valuesOf(parsed, 'iface')).toEqual([['a', 'b']])
    expect(await read('FLANNEL_OPTIONS="--v=1 --public-ip=x"')).toEqual({
      kind: 'refused',
      reason: `${file}:1:24: --public-ip in FLANNEL_OPTIONS x: want an IPv4 address`,
    })
  })

  test('names what was meant', async () => {
    const reason = async (text: string) => await read(text)
    expect(await reason('FLANNELD_ETCD_PREFX=a')).toEqual({
      kind: 'refused',
      reason: `${file}:1:1: flanneld knows no FLANNELD_ETCD_PREFX; did you mean FLANNELD_ETCD_PREFIX?`,
    })
    expect(await reason('FLANNEL_ETCD_ENDPOINT=a')).toMatchObject({
      reason: expect.stringContaining('did you mean FLANNEL_ETCD_ENDPOINTS?'),
    })
    expect(await reason('HTTP_PROXY=a')).toMatchObject({
      reason: expect.stringContaining('want FLANNELD_<FLAG>'),
    })
  })

  test('with a # behind a value, or a password that all may read, is told of', async () => {
    const notes = async (text: string, mode: number) => {
      writeFileSync(file, text)
      chmodSync(file, mode)
      const parsed = await readOptions([], {}, file)
      chmodSync(file, 0o644)
      return parsed.kind === 'options' ? parsed.notes.map((note) => note.text) : parsed
    }
    expect(await notes('FLANNELD_ETCD_PREFIX=/a # mine', 0o644)).toEqual([
      `${file}:1:25: this # and all behind it is part of the value; a comment has a line of its own`,
    ])
    expect(await notes('FLANNELD_ETCD_PASSWORD=s3cr3t', 0o644)).toEqual([
      `${file} has a secret in it, and every user of this host may read it: chmod 600 ${file}`,
    ])
    expect(await notes('FLANNELD_ETCD_PASSWORD=s3cr3t', 0o600)).toEqual([])
  })
})

describe('the corpus of conf files:', () => {
  for (const name of readdirSync(join(corpus, 'good')))
    test(`${name} is read`, async () =>
      expect(await readOptions([], {}, join(corpus, 'good', name))).toMatchObject({ kind: 'options' }))

  for (const name of readdirSync(join(corpus, 'bad')))
    test(`${name} is refused there`, async () => {
      const path = join(corpus, 'bad', name)
      const [, place = ''] = /@(\d+:\d+)\.conf$/.exec(name) ?? []
      expect(await readOptions([], {}, path)).toEqual({
        kind: 'refused',
        reason: expect.stringMatching(new RegExp(`^${path}:${place}: .*\\w+ \\w+`)),
      })
    })

  const texts = ['good', 'bad'].flatMap((kind) =>
    readdirSync(join(corpus, kind)).map((name) => readFileSync(join(corpus, kind, name))),
  )
  test('cut, doubled and altered anywhere, each gives options or is refused with a place', async () => {
    const at = fc.nat({ max: 400 })
    const altered = fc
      .tuple(
        fc.constantFrom(...texts),
        at,
        at,
        fc.oneof(fc.uint8Array({ maxLength: 4 }), fc.constantFrom(...texts)),
      )
      .map(([bytes, from, length, put]) =>
        Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(Math.min(from + length, bytes.length))]),
      )
    await fc.assert(
      fc.asyncProperty(altered, async (bytes) => {
        const parsed = await read(bytes)
        if (parsed.kind === 'refused') expect(parsed.reason).toMatch(new RegExp(`^${file}:\\d+:\\d+: `))
        else expect(parsed.kind).toBe('options')
      }),
      { numRuns: 500 },
    )
  })
})
