// How the options say etcd is reached: endpoints, certificates, user. Files are read anew for each connection.
import { readFile } from 'node:fs/promises'
import type { ChannelOptions } from '../store/etcd/channel.ts'
import type { Options } from './options.ts'

/** TLS is what an https:// endpoint speaks; a CA alone verifies the server, without a client certificate. */
export function etcdAccess(options: Options): ChannelOptions {
  const endpoints = options['etcd-endpoints']
    .split(',')
    // What stands before an @ is no part of the address, as upstream has it, and may be a secret.
    .map((endpoint) => endpoint.trim().replace(/(?<=\/\/)[^/@]*@/, ''))
    .filter((endpoint) => endpoint !== '')
  const name = options['etcd-username']
  const user = name === '' ? {} : { user: { name, password: options['etcd-password'] } }
  const files = (
    [
      ['ca', 'etcd-cafile'],
      ['cert', 'etcd-certfile'],
      ['key', 'etcd-keyfile'],
    ] as const
  ).filter(([, flag]) => options[flag] !== '')
  if (files.length === 0) return { endpoints, ...user }
  const tls = async () =>
    Object.fromEntries(
      await Promise.all(
        files.map(async ([part, flag]) => [part, await fileOf(flag, options[flag])] as const),
      ),
    )
  return { endpoints, ...user, tls }
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
