// Begins to listen on an address, and says in a sentence why that can't be.
import { chmodSync, lstatSync, rmSync } from 'node:fs'
import { connect, type Server } from 'node:net'
import { ServeError } from '../serve-error.ts'
import { addressText, type ListenAddress } from './listen-address.ts'

const OWNER_ONLY = 0o600

/** Throws ServeError. */
export async function listen(server: Server, address: ListenAddress): Promise<void> {
  if (address.kind === 'unix') await removeDeadSocket(address.path)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  // A socket file is made with what the mask leaves: nobody else may connect, not even in between.
  const mask = address.kind === 'unix' ? process.umask(0o177) : undefined
  try {
    if (address.kind === 'unix') server.listen({ path: address.path }, resolve)
    else server.listen({ host: address.host, port: address.port }, resolve)
    await promise
    if (address.kind === 'unix') chmodSync(address.path, OWNER_ONLY)
  } catch (error) {
    throw describeListenError(error, address)
  } finally {
    if (mask !== undefined) process.umask(mask)
  }
  server.removeListener('error', reject)
}

/** What a killed process left behind, which nobody answers at. */
async function removeDeadSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found?.isSocket() === true && !(await isAnswered(path))) rmSync(path, { force: true })
}

function isAnswered(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect({ path })
  socket.once('connect', () => resolve(true))
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
  return promise.finally(() => socket.destroy())
}

function describeListenError(error: unknown, address: ListenAddress): ServeError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const where = addressText(address)
  if (code === 'EADDRINUSE') {
    return new ServeError(
      'address_in_use',
      `${where} is in use: another store or etcd may be running; stop it, or give another --listen`,
      { cause: error },
    )
  }
  const text = error instanceof Error ? error.message : String(error)
  return new ServeError('listen_failed', `can't listen on ${where}: ${text}`, { cause: error })
}
