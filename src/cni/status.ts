// STATUS: whether an ADD could succeed now (CNI spec 1.1): subnet.env, the delegate, and heddle's flanneld if it is there
// to be asked.
import { get } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Call } from './call.ts'
import { findDelegate } from './delegate.ts'
import { delegateConfig } from './delegate-config.ts'
import { Code, CniError, messageOf } from './error.ts'
import { parseNetConf } from './net-conf.ts'
import { readSubnetEnv } from './subnet-env.ts'

const ANSWER_MS = 2_000

/** Throws CniError 50 with the reason. */
export async function status(call: Call): Promise<string> {
  const conf = parseNetConf(call.config)
  try {
    const config = delegateConfig(conf, readSubnetEnv(conf.subnetFile))
    await findDelegate(call, config).status()
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    throw new CniError(Code.notAvailable, error.message, error.details, error)
  }
  await askFlanneld(conf.statusSocket)
  return ''
}

/** Upstream's flanneld has no such socket: nothing is known of it, then. */
async function askFlanneld(socket: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const request = get({ socketPath: socket, path: '/readyz?verbose', timeout: ANSWER_MS, agent: false })
  request.on('response', (response) => void text(response).then(resolve, reject))
  request.on('timeout', () => request.destroy(new Error(`no answer in ${ANSWER_MS / 1000} s`)))
  request.on('error', reject)
  let answer: string
  try {
    answer = await promise
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return
    throw new CniError(
      Code.notAvailable,
      `flanneld does not answer at ${socket}: ${messageOf(cause)}`,
      'is it running? Its data plane stays as it was',
      cause,
    )
  }
  const lacking = failing(answer)
  if (lacking === undefined) return
  throw new CniError(Code.notAvailable, `flanneld is not ready: ${lacking}`, `${socket} has /status for more`)
}

/** The first check that fails and matters: while the store is away pods can be started all the same. */
function failing(answer: string): string | undefined {
  for (const line of answer.split('\n')) {
    const match = /^\[-\](\S+) failed: (.*)$/.exec(line)
    if (match !== null && match[1] !== 'store') return `${match[1]}: ${match[2]}`
  }
  return undefined
}
