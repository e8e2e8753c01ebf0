// Waits of a lab: each has a deadline, a reason that is told when it passes, and ends at once when the lab is
// interrupted; and work on many things, some at a time.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { LabError } from './error.ts'

export interface WaitOptions {
  readonly deadlineMs: number
  readonly signal: AbortSignal
  readonly everyMs?: number
  /** What is told when the deadline passes. */
  readonly late: () => string
}

/** The first answer of `look` that is not undefined. Throws LabError `timeout`, or `interrupted`. */
export async function until<T>(
  look: () => T | undefined | Promise<T | undefined>,
  options: WaitOptions,
): Promise<T> {
  const end = performance.now() + options.deadlineMs
  for (;;) {
    ifInterrupted(options.signal)
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) throw new LabError('timeout', options.late())
    await pause(options.everyMs ?? 20, options.signal)
  }
}

export function ifInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new LabError('interrupted', 'interrupted')
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal })
  } catch (error) {
    if (signal.aborted) throw new LabError('interrupted', 'interrupted', { cause: error })
    throw error
  }
}

/** Runs `work` on every item, at most `atOnce` at a time, in order; the first failure ends it after those begun. */
export async function each<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  let next = 0
  let failed = false
  const worker = async () => {
    while (!failed && next < items.length) {
      const index = next++
      try {
        results[index] = await work(items[index] as T, index)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: Math.min(atOnce, items.length) }, worker))
  for (const end of ended) if (end.status === 'rejected') throw end.reason
  return results
}

/** The end of a log, indented to stand below a sentence; a sentence of its own if there is none. */
export function lastLines(path: string, count = 8): string {
  let text = ''
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const lines = text.trimEnd().split('\n').slice(-count)
  return text.trim() === '' ? '\n  (its log is empty)' : lines.map((line) => `\n  ${line}`).join('')
}
