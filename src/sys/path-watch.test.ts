// Watching paths through all that befalls files on a real file system.
import { describe, expect, test } from 'bun:test'
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathChanges } from './path-watch.ts'

class World implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'heddle-test-watch-'))
  readonly #stop = new AbortController()
  #watching: Promise<unknown> = Promise.resolve()
  changes = 0

  path(name: string): string {
    return join(this.folder, name)
  }
  put(name: string, text = 'x'): void {
    mkdirSync(dirname(this.path(name)), { recursive: true })
    writeFileSync(this.path(name), text)
  }
  link(name: string, target: string): void {
    mkdirSync(dirname(this.path(name)), { recursive: true })
    symlinkSync(target, this.path(name))
  }
  move(from: string, to: string): void {
    renameSync(this.path(from), this.path(to))
  }

  /** Told once that it watches; what is told from then on is counted. */
  async watch(...names: string[]): Promise<void> {
    const begun = Promise.withResolvers<void>()
    const paths = names.map((name) => this.path(name))
    this.#watching = (async () => {
      for await (const _ of pathChanges(paths, this.#stop.signal)) {
        this.changes++
        begun.resolve()
      }
    })().catch((error: unknown) => error)
    await begun.promise
  }

  /** What was done is told, and nothing more once that is over. */
  async told(act: () => void): Promise<void> {
    const before = this.changes
    act()
    while (this.changes === before) await Bun.sleep(2)
    await Bun.sleep(20)
  }

  async untold(act: () => void): Promise<void> {
    const before = this.changes
    act()
    await Bun.sleep(50)
    expect(this.changes).toBe(before)
  }

  async end(): Promise<unknown> {
    this.#stop.abort(new Error('enough'))
    return this.#watching
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

const inotifies = () =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:inotify'
    } catch {
      return false
    }
  }).length

describe('a path is told of', () => {
  test('when its file is written, replaced, deleted and brought back; and not for its neighbours', async () => {
    await using w = new World()
    w.put('a/cert')
    await w.watch('a/cert')
    await w.told(() => w.put('a/cert', 'y'))
    await w.untold(() => w.put('a/other'))
    await w.untold(() => w.put('b/cert'))
    await w.told(() => {
      w.put('a/.new', 'z')
      w.move('a/.new', 'a/cert')
    })
    await w.told(() => w.put('a/cert', 'of the file that came'))
    await w.told(() => unlinkSync(w.path('a/cert')))
    await w.told(() => w.put('a/cert'))
    await w.told(() => chmodSync(w.path('a/cert'), 0o600))
  })

  test('when its file is written to by another name', async () => {
    await using w = new World()
    w.put('a/cert')
    mkdirSync(w.path('b'))
    linkSync(w.path('a/cert'), w.path('b/cert'))
    await w.watch('a/cert')
    await w.told(() => w.put('b/cert', 'y'))
  })

  test('as Kubernetes swaps the files of a volume', async () => {
    await using w = new World()
    w.put('..1/cert')
    w.link('..data', '..1')
    w.link('cert', '..data/cert')
    await w.watch('cert')
    for (const version of ['..2', '..3']) {
      await w.untold(() => w.put(`${version}/cert`))
      await w.told(() => {
        w.link('..data_tmp', version)
        w.move('..data_tmp', '..data')
      })
      await w.told(() => w.put(`${version}/cert`, 'written in place'))
    }
    await w.untold(() => w.put('..1/cert', 'nobody cares'))
  })

  test('when a directory on the way is another, gone, and back', async () => {
    await using w = new World()
    w.put('etc/pki/live/cert')
    await w.watch('etc/pki/live/cert')
    await w.told(() => w.move('etc/pki', 'etc/old'))
    await w.untold(() => w.put('etc/old/live/cert', 'nobody cares'))
    await w.told(() => w.put('etc/pki/live/cert'))
    await w.told(() => w.put('etc/pki/live/cert', 'y'))
    await w.told(() => rmSync(w.path('etc'), { recursive: true }))
    await w.told(() => w.put('etc/pki/live/cert'))
    await w.told(() => w.put('etc/pki/live/cert', 'y'))
  })

  test('through links of all kinds, also while they lead nowhere or in a circle', async () => {
    await using w = new World()
    w.link('here', 'there/../current')
    mkdirSync(w.path('there'))
    w.link('current', join(w.folder, 'v1'))
    await w.watch('here/cert')
    await w.told(() => w.put('v1/cert'))
    await w.told(() => w.put('v1/cert', 'y'))
    await w.told(() => {
      w.link('next', 'v2')
      w.move('next', 'current')
    })
    await w.told(() => w.put('v2/cert'))
    await w.told(() => {
      unlinkSync(w.path('current'))
      w.link('current', 'here')
    })
    await w.told(() => {
      unlinkSync(w.path('current'))
      w.link('current', 'v1')
    })
    await w.told(() => w.put('v1/cert', 'z'))
  })

  test('each of several, and many changes at once as few', async () => {
    await using w = new World()
    for (const name of ['ca', 'cert', 'key']) w.put(name)
    await w.watch('ca', 'cert', 'key')
    await w.told(() => w.put('ca', 'y'))
    await w.told(() => w.put('key', 'y'))
    const before = w.changes
    await w.told(() => {
      for (let i = 0; i < 200; i++) w.put('cert', String(i))
    })
    expect(w.changes - before).toBeLessThan(5)
  })
})

test('watching ends with its signal, and leaves no descriptor', async () => {
  const before = inotifies()
  {
    await using w = new World()
    await w.watch('a/cert')
    expect(inotifies()).toBe(before + 1)
    expect(String(await w.end())).toContain('enough')
  }
  expect(inotifies()).toBe(before)
})

test('who leaves without a signal leaves nothing either', async () => {
  const before = inotifies()
  for await (const _ of pathChanges(['/tmp/nothing'], new AbortController().signal)) break
  expect(inotifies()).toBe(before)
})
