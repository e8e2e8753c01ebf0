// How the options say etcd is reached: endpoints, certificates, user. Files are read anew for each connection.
import { readFile } from 'node:fs/promises'
import type { ChannelOptions } from '../store/etcd/channel.ts'
import type { Options } from './options.ts'

/** TLS is what an https:// endpoint speaks; a CA alone verifies the server, without a client certificate. */
export function etcdAccess(options: Options): ChannelOptions {
  const endpoints = options['etcd-endpoints']
    .split(',')
    .map((endpoint) => endpoint.trim())
    .filter((endpoint) => endpoint !== '')
  const name = options['etcd-username']
  const user = name === '' ? {} : { user: { name, password: options['etcd-password'] } }
  const files = [
    ['ca', options['etcd-cafile']],
    ['cert', options['etcd-certfile']],
    ['key', options['etcd-keyfile']],
  ] as const
  const given = files.filter(([, path]) => path !== '')
  if (given.length === 0) return { endpoints, ...user }
  const tls = async () =>
    Object.fromEntries(
      await Promise.all(given.map(async ([part, path]) => [part, await readFile(path)] as const)),
    )
  return { endpoints, ...user, tls }
}
