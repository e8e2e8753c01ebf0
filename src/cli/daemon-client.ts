// Asks a running flanneld over its UNIX socket: one answer, or lines as they come.
import { request, type IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'

/** flanneld computes drift in a fraction of a second, ten thousand peers included, but spaces its answers. */
const ANSWER_MS = 5_000

type NoAnswer =
  /** Nobody listens there, or nobody answers. */
  | { readonly kind: 'none'; readonly why: string }
  /** Who answers can't, or may not be asked. */
  | { readonly kind: 'refused'; readonly why: string }
export type Answer = { readonly kind: 'answer'; readonly value: unknown } | NoAnswer

/** What `path` answers, read as JSON. */
export async function askDaemon(socket: string, path: string): Promise<Answer> {
  try {
    const response = await get(socket, path, AbortSignal.timeout(ANSWER_MS))
    const body = await text(response)
    if (response.statusCode === 200) return { kind: 'answer', value: JSON.parse(body) as unknown }
    const why = `the flanneld at ${socket} says ${response.statusCode} to ${path}: ${body.trim()}`
    return { kind: 'refused', why }
  } catch (error) {
    return trouble(socket, error)
  }
}

/** Lines read as JSON, the first of them soon, until flanneld ends or the signal comes; then why, if not by the signal. */
export async function* linesOf(
  socket: string,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<unknown, NoAnswer | undefined, undefined> {
  const ended = { kind: 'none', why: `the flanneld at ${socket} has ended` } as const
  let isAnswered = false
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), ANSWER_MS)
  try {
    const response = await get(socket, path, AbortSignal.any([signal, late.signal]))
    isAnswered = true
    clearTimeout(timer)
    if (response.statusCode !== 200)
      return {
        kind: 'refused',
        why: `the flanneld at ${socket} says ${response.statusCode} to ${path}: ${(await text(response)).trim()}`,
      }
    for await (const line of createInterface({ input: response, signal })) yield JSON.parse(line) as unknown
    return signal.aborted ? undefined : ended
  } catch (error) {
    if (signal.aborted) return undefined
    return isAnswered ? ended : trouble(socket, error)
  } finally {
    clearTimeout(timer)
  }
}

function get(socket: string, path: string, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath: socket, path, agent: false, signal }, resolve)
    asking.on('error', reject)
    asking.end()
  })
}

/** Bun has its own word for a socket that nobody listens at. */
const ABSENT: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTDIR', 'FailedToOpenSocket'])

function trouble(socket: string, error: unknown): NoAnswer {
  const { code = '', name, message } = error as NodeJS.ErrnoException
  if (name === 'AbortError' || name === 'TimeoutError')
    return { kind: 'none', why: `the flanneld at ${socket} has not answered for ${ANSWER_MS / 1000} s` }
  if (code === 'EACCES' || code === 'EPERM')
    return { kind: 'refused', why: `${socket} may not be asked by this user: run it as root` }
  if (ABSENT.has(code)) return { kind: 'none', why: `no flanneld listens at ${socket}` }
  return { kind: 'none', why: `the flanneld at ${socket} can't be asked: ${message}` }
}
