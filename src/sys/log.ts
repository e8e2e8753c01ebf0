// The log: lines on stderr in klog's form or as JSON, written before the call returns. A message that repeats is
// written once and then counted, so that a fault that lasts is one line a minute and not a flood.
import { writeSync } from 'node:fs'
import { isWritable, localTime } from './libc.ts'

export type Level = 'debug' | 'info' | 'warning' | 'error'
const ORDER: readonly Level[] = ['debug', 'info', 'warning', 'error']
const LETTER: Record<Level, string> = { debug: 'I', info: 'I', warning: 'W', error: 'E' }

export type Fields = Readonly<Record<string, string | number | boolean | undefined>>
export interface LogOptions {
  readonly format: 'text' | 'json'
  /** The least level that is written. */
  readonly level: Level
  /** How long repeats are counted before they are told. */
  readonly foldMs: number
  readonly write: (line: string) => void
}
export interface Extra {
  /** What makes two messages the same, where their text differs (a count, an address). */
  readonly key?: string
  /** Facts for programs: `name="value"` after the text, or members of the JSON object. */
  readonly fields?: Fields
}
/** A message's level as a method; `file` names where it comes from, as klog does. */
export type Logger = Readonly<Record<Level, (message: string, extra?: Extra) => void>>

interface Fold {
  readonly level: Level
  readonly file: string
  message: string
  count: number
  since: number
}

export class Log implements Disposable {
  #options: LogOptions
  /** Messages of the last `foldMs`, oldest first. */
  readonly #folds = new Map<string, Fold>()
  #timer: NodeJS.Timeout | undefined
  #open = true

  constructor(options: Partial<LogOptions> = {}) {
    this.#options = { format: 'text', level: 'info', foldMs: 60_000, write: writeStderr, ...options }
  }

  configure(options: Partial<LogOptions>): void {
    this.#options = { ...this.#options, ...options }
  }

  from(file: string): Logger {
    const at = (level: Level) => (message: string, extra?: Extra) => this.#log(level, file, message, extra)
    return { debug: at('debug'), info: at('info'), warning: at('warning'), error: at('error') }
  }

  #log(level: Level, file: string, message: string, extra: Extra = {}): void {
    if (ORDER.indexOf(level) < ORDER.indexOf(this.#options.level)) return
    const key = `${level} ${file} ${extra.key ?? message}`
    const fold = this.#folds.get(key)
    if (fold !== undefined && this.#open) {
      fold.count++
      fold.message = message
      return
    }
    this.#write(level, file, message, extra.fields)
    if (!this.#open) return
    this.#folds.set(key, { level, file, message, count: 0, since: performance.now() })
    this.#arm()
  }

  #arm(): void {
    const [oldest] = this.#folds.values()
    if (this.#timer !== undefined || oldest === undefined) return
    const wait = Math.max(1, oldest.since + this.#options.foldMs - performance.now())
    this.#timer = setTimeout(() => this.#expire(), Math.ceil(wait))
    this.#timer.unref()
  }

  #expire(): void {
    this.#timer = undefined
    const now = performance.now()
    for (const [key, fold] of this.#folds) {
      if (now - fold.since < this.#options.foldMs) break
      this.#folds.delete(key)
      if (fold.count === 0) continue
      this.#summarise(fold)
      // Still going on, perhaps: count again, at the end of the line.
      this.#folds.set(key, { ...fold, count: 0, since: now })
    }
    this.#arm()
  }

  #summarise(fold: Fold): void {
    const { foldMs } = this.#options
    const span = foldMs === 60_000 ? 'minute' : `${foldMs / 1000} s`
    const times = fold.count === 1 ? 'once' : `${fold.count} times`
    this.#write(fold.level, fold.file, `${fold.message} (… again ${times} in the last ${span})`, {
      repeats: fold.count,
    })
  }

  #write(level: Level, file: string, message: string, fields: Fields = {}): void {
    const { format, write } = this.#options
    write(format === 'json' ? jsonLine(level, file, message, fields) : textLine(level, file, message, fields))
  }

  /** Tells what is still uncounted and stops folding: from here on every message is written. */
  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const fold of this.#folds.values()) if (fold.count > 0) this.#summarise(fold)
    this.#folds.clear()
  }
}

const two = (value: number): string => `${value}`.padStart(2, '0')
/** Whatever others wrote into a name or a value stays on its line. */
const oneLine = (text: string): string =>
  text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** klog: `I1123 03:20:00.000000    4711 main.ts] text name="value"`, local time. */
function textLine(level: Level, file: string, message: string, fields: Fields): string {
  const nowMs = Date.now()
  const { month, day, hour, minute, second } = localTime(nowMs / 1000)
  const date = `${two(month)}${two(day)}`
  const time = `${two(hour)}:${two(minute)}:${two(second)}`
  const micros = `${nowMs % 1000}`.padStart(3, '0').padEnd(6, '0')
  const pid = `${process.pid}`.padStart(7)
  let tail = ''
  for (const [name, value] of Object.entries(fields))
    if (value !== undefined && name !== 'repeats')
      tail += ` ${name}=${typeof value === 'string' ? JSON.stringify(value) : value}`
  return `${LETTER[level]}${date} ${time}.${micros} ${pid} ${file}] ${oneLine(message)}${tail}\n`
}

function jsonLine(level: Level, file: string, message: string, fields: Fields): string {
  const time = new Date().toISOString()
  return `${JSON.stringify({ ...fields, time, level, pid: process.pid, file, message })}\n`
}

const PIPE_BUF = 4096
const CUT = Buffer.from(' …\n')

/** As much as one write takes, whole characters. */
function cut(line: Buffer): Buffer {
  let end = PIPE_BUF - CUT.length
  while (((line[end] ?? 0) & 0xc0) === 0x80) end--
  return Buffer.concat([line.subarray(0, end), CUT])
}

let lost = 0
/** A reader that doesn't read must not stop the daemon, and one that left must not end it: lines are lost then, and counted. */
function writeStderr(line: string): void {
  try {
    // Also a pipe that blocks takes PIPE_BUF bytes at once where poll(2) says that it takes any.
    if (!isWritable(2)) lost++
    else {
      const bytes = Buffer.from(
        lost === 0 ? line : `${line.trimEnd()} (${lost} lines before this one were lost)\n`,
      )
      writeSync(2, bytes.length <= PIPE_BUF ? bytes : cut(bytes))
      lost = 0
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'EAGAIN' && code !== 'EPIPE') throw error
    lost++
  }
}

/** This process's log. */
export const log = new Log()
