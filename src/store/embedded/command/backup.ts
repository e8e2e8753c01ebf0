// `heddle store backup FILE`: a copy of the store, running or not, as it is at one moment.
import { createWriteStream, existsSync, renameSync, rmSync } from 'node:fs'
import { request, type IncomingMessage } from 'node:http'
import { dirname, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { BACKUP_PATH, controlSocketOf } from '../control/control-socket.ts'
import { copyDatabase, finishCopy, syncFile } from '../file/copy.ts'
import { storeFile } from '../file/database.ts'
import { checkContents, checkHeader, describeOpenError, Reader } from '../file/inspect.ts'
import { summaryOf } from '../file/summary.ts'
import { ServeError } from '../serve-error.ts'

const OWNER_ONLY = 0o600
/** A gigabyte is copied in a few seconds. */
const PATIENCE_MS = 60_000

/** What was done, in a sentence. Throws ServeError. */
export async function backUp(file: string, dataDirectory: string): Promise<string> {
  const to = resolve(file)
  if (existsSync(to)) {
    throw new ServeError('file_exists', `${to} is there already: give another name, or move it away`)
  }
  const from = storeFile(dataDirectory)
  if (!existsSync(from)) {
    throw new ServeError('database_missing', `there is no store in ${dataDirectory}: give its --data-dir`)
  }
  const draft = `${to}.part`
  try {
    rmSync(draft, { force: true })
    const running = await askRunning(controlSocketOf(dataDirectory))
    if (running === undefined) await copyStopped(from, draft)
    else await receive(running, draft)
    finishCopy(draft)
    const summary = summaryOf(draft)
    renameSync(draft, to)
    syncFile(dirname(to))
    return `${to} holds ${summary}`
  } catch (error) {
    throw error instanceof ServeError ? error : describeFileError(error, draft)
  } finally {
    rmSync(draft, { force: true })
  }
}

/** The running store's answer; undefined when none is running on that directory. */
function askRunning(socketPath: string): Promise<IncomingMessage | undefined> {
  const { promise, resolve: answered, reject } = Promise.withResolvers<IncomingMessage | undefined>()
  const asking = request({ socketPath, path: BACKUP_PATH }, answered)
  const silence = setTimeout(
    () => asking.destroy(new Error(`no answer within ${PATIENCE_MS / 1000} s`)),
    PATIENCE_MS,
  )
  asking.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') answered(undefined)
    else
      reject(
        new ServeError('backup_failed', `can't ask the running store by ${socketPath}: ${error.message}`, {
          cause: error,
        }),
      )
  })
  asking.end()
  return promise.finally(() => clearTimeout(silence))
}

async function receive(answer: IncomingMessage, draft: string): Promise<void> {
  if (answer.statusCode !== 200) {
    const text = (await answer.toArray()).join('')
    throw new ServeError('backup_failed', `the running store can't make a copy: ${text}`)
  }
  await pipeline(answer, createWriteStream(draft, { flags: 'wx', mode: OWNER_ONLY }))
}

async function copyStopped(from: string, draft: string): Promise<void> {
  try {
    checkHeader(from)
    checkContents(from)
    using reader = new Reader(from)
    await copyDatabase(reader.connection, draft)
  } catch (error) {
    throw describeOpenError(error, from)
  }
}

function describeFileError(error: unknown, path: string): ServeError {
  const text = error instanceof Error ? error.message : String(error)
  return new ServeError('backup_failed', `can't write ${path}: ${text}`, { cause: error })
}
