// The log: lines in klog's form or as JSON, written before the call returns. A message that repeats is written once
// and then counted, so that a fault that lasts is one line a minute and not a flood.
import { Folding, type Message } from './log-fold.ts'
import { formatLine, type Entry, type Fields, type Level, type LogFormat } from './log-format.ts'
import { writeStderr } from './log-stderr.ts'

export type { Fields, Level, LogFormat } from './log-format.ts'

export interface LogOptions {
  readonly format: LogFormat
  /** klog's -v: debug messages up to this are written. */
  readonly verbosity: number
  readonly write: (line: string) => void
}
export interface Extra {
  /** What makes two messages the same, where their text differs (a count, an address). */
  readonly key?: string
  /**
   * The thing whose state this tells, where several messages do: `store` for "the store fails" and "the store answers
   * again". A message is written again once another one about the same thing came after it, so that the last line
   * tells how it is.
   */
  readonly about?: string
  /** Facts for programs: `name="value"` after the text, or members of the JSON object. */
  readonly fields?: Fields
}
type Told = Exclude<Level, 'debug'>
type Tell = (message: string, extra?: Extra) => void
/** A message's level as a method. */
export interface Logger {
  readonly info: Tell
  readonly warning: Tell
  readonly error: Tell
  /** Written from -v `verbosity` on (1: what happens, 2: each lease and round, 4: each kernel object), each time. */
  readonly debug: (verbosity: number, message: string, fields?: Fields) => void
  /** Whether a debug message of this verbosity would be written: spares the making of its text. */
  readonly isVerbose: (verbosity: number) => boolean
}

const FOLD_MS = 60_000

export class Log implements Disposable {
  #options: LogOptions
  readonly #folding: Folding
  readonly #counts = { info: 0, warning: 0, error: 0 }
  #timer: NodeJS.Timeout | undefined
  #isFolding = true

  /** `foldMs`: how long repeats are counted before they are told. */
  constructor(options: Partial<LogOptions> = {}, foldMs = FOLD_MS) {
    this.#options = { format: 'text', verbosity: 0, write: writeStderr, ...options }
    this.#folding = new Folding(foldMs)
  }

  configure(options: Partial<LogOptions>): void {
    this.#options = { ...this.#options, ...options }
  }

  /** Messages so far by level, repeats among them; without debug messages. */
  get counts(): Readonly<Record<Told, number>> {
    return this.#counts
  }

  /** `file` names where the messages come from, as klog does. */
  from(file: string): Logger {
    const at =
      (level: Told): Tell =>
      (message, { fields = {}, ...extra } = {}) => {
        this.#counts[level]++
        this.#heed({ level, file, message, fields, ...extra })
      }
    const isVerbose = (verbosity: number) => verbosity <= this.#options.verbosity
    return {
      info: at('info'),
      warning: at('warning'),
      error: at('error'),
      isVerbose,
      debug: (verbosity, message, fields = {}) => {
        if (isVerbose(verbosity)) this.#write({ level: 'debug', file, message, fields })
      },
    }
  }

  #heed(message: Message): void {
    if (!this.#isFolding) {
      this.#write(message)
      return
    }
    for (const entry of this.#folding.heed(message, performance.now())) this.#write(entry)
    this.#arm()
  }

  #arm(): void {
    const { nextMs } = this.#folding
    if (this.#timer !== undefined || nextMs === undefined) return
    this.#timer = setTimeout(() => this.#expire(), Math.ceil(Math.max(1, nextMs - performance.now())))
    this.#timer.unref()
  }

  #expire(): void {
    this.#timer = undefined
    for (const entry of this.#folding.expire(performance.now())) this.#write(entry)
    this.#arm()
  }

  #write(entry: Entry): void {
    this.#options.write(formatLine(this.#options.format, entry))
  }

  /** Tells what is still uncounted and stops folding: from here on every message is written. */
  [Symbol.dispose](): void {
    if (!this.#isFolding) return
    this.#isFolding = false
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const entry of this.#folding.flush(performance.now())) this.#write(entry)
  }
}

/** This process's log. */
export const log = new Log()
