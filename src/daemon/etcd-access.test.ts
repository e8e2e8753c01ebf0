// How the flags become the way to etcd; that the way works is tested in store/etcd.
import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { etcdAccess } from './etcd-access.ts'
import { readOptions } from './options.ts'

const access = async (...args: string[]) => {
  const parsed = await readOptions(args, {})
  if (parsed.kind !== 'options') throw new Error(JSON.stringify(parsed))
  return etcdAccess(parsed.options)
}

test('endpoints are a comma list; blanks around them are forgiven', async () =>
  expect(await access('--etcd-endpoints=http://a:1, http://b:2,')).toEqual({
    endpoints: ['http://a:1', 'http://b:2'],
  }))

test('what may be a secret in an endpoint goes no further', async () =>
  expect(await access('--etcd-endpoints=http://u:s3cr3t@a:1,https://u@b')).toEqual({
    endpoints: ['http://a:1', 'https://b'],
  }))

test('a user goes along with its password', async () =>
  expect(await access('--etcd-username=u', '--etcd-password=p')).toMatchObject({
    user: { name: 'u', password: 'p' },
  }))

test('certificates are read anew each time, their changes are told, a CA alone is enough', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-access-'))
  try {
    const file = (name: string, text: string) => (writeFileSync(join(folder, name), text), join(folder, name))
    const caOnly = await access(`--etcd-cafile=${file('ca', 'one')}`)
    const names = { ca: join(folder, 'ca') }
    expect(await caOnly.tls?.()).toEqual({ ca: Buffer.from('one'), names })
    const changes = caOnly.tlsChanges?.(new AbortController().signal)[Symbol.asyncIterator]()
    await changes?.next()
    const changed = changes?.next()
    file('ca', 'two')
    await changed
    await changes?.return?.()
    expect(await caOnly.tls?.()).toEqual({ ca: Buffer.from('two'), names })
    const mutual = await access(`--etcd-keyfile=${file('key', 'k')}`, `--etcd-certfile=${file('cert', 'c')}`)
    expect(await mutual.tls?.()).toEqual({
      key: Buffer.from('k'),
      cert: Buffer.from('c'),
      names: { key: join(folder, 'key'), cert: join(folder, 'cert') },
    })
    rmSync(join(folder, 'cert'))
    expect(await mutual.tls?.().catch((error: unknown) => String(error))).toBe(
      `Error: ${join(folder, 'cert')} (--etcd-certfile): ENOENT: no such file or directory`,
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})
