// The log in a file: DIR/NAME.log, bound in size by rotation to NAME.log.1 … .N (rename, so that no line is lost). What
// can't be written is left to the other sinks: told once, tried again, never thrown.
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  writeSync,
  type Stats,
} from 'node:fs'
import { join } from 'node:path'

export interface LogFileOptions {
  /** Told once that the file can't be written, and again when the reason is another. May log: the file is let alone then. */
  readonly onTrouble: (reason: string) => void
  /** Told that it is written again, and how many lines it lacks. */
  readonly onRelief: (missed: number) => void
  readonly maxBytes?: number
  /** How many old files are kept. */
  readonly keep?: number
  /** The pause after the first failure; it doubles. */
  readonly retryMs?: number
}

const MAX_BYTES = 10 << 20
const KEEP = 5
const RETRY_MS = 1_000
const LONGEST_RETRY_MS = 30_000
/** Not blocking: a FIFO of that name must not stop the process. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

interface Open {
  readonly fd: number
  readonly dev: number
  readonly ino: number
}

export class LogFile implements Disposable {
  readonly path: string
  readonly #directory: string
  readonly #options: LogFileOptions
  #open: Open | undefined
  /** The file whose last line lacks its end. */
  #torn: Open | undefined
  /** Code of the error that was told, until it is written again. */
  #failure: string | undefined
  #missed = 0
  #retryMs = -Infinity
  #pauseMs: number

  /** Nothing is opened before the first line. Missing directories are made. */
  constructor(directory: string, name: string, options: LogFileOptions) {
    this.#directory = directory
    this.path = join(directory, `${name}.log`)
    this.#options = options
    this.#pauseMs = options.retryMs ?? RETRY_MS
  }

  /** The line with its newline; in the file when this returns, unless it can't be written. */
  write(line: string): void {
    if (performance.now() < this.#retryMs) {
      this.#missed++
      return
    }
    try {
      this.#write(Buffer.from(line))
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
      return
    }
    if (this.#failure === undefined) return
    const missed = this.#missed
    this.#failure = undefined
    this.#missed = 0
    this.#pauseMs = this.#options.retryMs ?? RETRY_MS
    this.#options.onRelief(missed)
  }

  #write(line: Buffer): void {
    let { open, bytes } = this.#current()
    if (bytes > 0 && bytes + line.length > (this.#options.maxBytes ?? MAX_BYTES)) {
      this.#rotate()
      ;({ open, bytes } = this.#current())
    }
    // A full disk takes a part of a line: that one's end is gone, this one gets a line of its own.
    if (this.#torn !== undefined && isSame(this.#torn, open)) writeSync(open.fd, '\n')
    this.#torn = undefined
    for (let done = 0; done < line.length;) {
      done += writeSync(open.fd, line, done)
      this.#torn = done < line.length ? open : undefined
    }
  }

  /** The file of that name now, though somebody else may have moved or truncated it (logrotate). */
  #current(): { readonly open: Open; readonly bytes: number } {
    const there = statSync(this.path, { throwIfNoEntry: false })
    if (this.#open !== undefined && there !== undefined && isSame(there, this.#open))
      return { open: this.#open, bytes: there.size }
    this.#close()
    mkdirSync(this.#directory, { recursive: true })
    const fd = openSync(this.path, FLAGS, 0o640)
    const { dev, ino, size } = fstatSync(fd)
    this.#open = { fd, dev, ino }
    return { open: this.#open, bytes: size }
  }

  #rotate(): void {
    const keep = this.#options.keep ?? KEEP
    for (let n = keep; n >= 1; n--) {
      const from = n === 1 ? this.path : `${this.path}.${n - 1}`
      if (statSync(from, { throwIfNoEntry: false }) !== undefined) renameSync(from, `${this.path}.${n}`)
    }
    this.#close()
  }

  #fail({ message, code = message }: NodeJS.ErrnoException): void {
    this.#close()
    this.#missed++
    this.#retryMs = performance.now() + this.#pauseMs
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_RETRY_MS)
    if (code === this.#failure) return
    this.#failure = code
    this.#options.onTrouble(message)
  }

  #close(): void {
    const { fd } = this.#open ?? {}
    this.#open = undefined
    if (fd !== undefined) closeAnyway(fd)
  }

  [Symbol.dispose](): void {
    this.#close()
  }
}

type Identity = Pick<Stats, 'dev' | 'ino'>
const isSame = (a: Identity, b: Identity): boolean => a.ino === b.ino && a.dev === b.dev

/** A network file system tells here what it could not keep of earlier lines; the descriptor is closed all the same. */
function closeAnyway(fd: number): void {
  try {
    closeSync(fd)
  } catch (error) {
    if (!(error instanceof Error && 'errno' in error)) throw error
  }
}
