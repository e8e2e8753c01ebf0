// How the options say etcd is reached: endpoints, certificates, user. Files are read anew for each connection, and
// watched: renewed ones come into use without a restart.
import { readFile } from 'node:fs/promises'
import type { EtcdStoreOptions } from '../store/etcd/store.ts'
import type { Options } from './options.ts'

/** TLS is what an https:// endpoint speaks; a CA alone verifies the server, without a client certificate. */
export function etcdAccess(
  options: Options,
): Pick<EtcdStoreOptions, 'endpoints' | 'user' | 'tls' | 'tlsChanges'> {
  const endpoints = options['etcd-endpoints']
    .split(',')
    // What stands before an @ is no part of the address, as upstream has it, and may be a secret.
    .map((endpoint) => endpoint.trim().replace(/(?<=\/\/)[^/@]*@/, ''))
    .filter((endpoint) => endpoint !== '')
  const name = options['etcd-username']
  const user = name === '' ? {} : { user: { name, password: options['etcd-password'] } }
  const files = tlsFilesOf(options)
  if (files.length === 0) return { endpoints, ...user }
  const names = Object.fromEntries(files.map(({ part, path }) => [part, path]))
  const tls = async () => {
    const read = files.map(async ({ part, flag, path }) => [part, await fileOf(flag, path)] as const)
    return { ...Object.fromEntries(await Promise.all(read)), names }
  }
  const paths = files.map(({ path }) => path)
  const tlsChanges = (signal: AbortSignal) => changesOf(paths, signal)
  return { endpoints, ...user, tls, tlsChanges }
}

/** All that the options say of the store. */
export const etcdOptions = (options: Options) => ({
  ...etcdAccess(options),
  prefix: options['etcd-prefix'],
  renewMarginMinutes: options['subnet-lease-renew-margin'],
})

/** Those that the options name. */
export const tlsFilesOf = (options: Options) =>
  (
    [
      ['ca', 'etcd-cafile'],
      ['cert', 'etcd-certfile'],
      ['key', 'etcd-keyfile'],
    ] as const
  )
    .map(([part, flag]) => ({ part, flag, path: options[flag] }))
    .filter(({ path }) => path !== '')

async function* changesOf(paths: readonly string[], signal: AbortSignal): AsyncGenerator<void> {
  const { pathChanges } = await import('../sys/path-watch.ts')
  yield* pathChanges(paths, signal)
}

async function fileOf(flag: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    // Node says which call failed, too, and the path again.
    const [why] = (cause instanceof Error ? cause.message : String(cause)).split(', ')
    throw new Error(`${path} (--${flag}): ${why}`, { cause })
  }
}
