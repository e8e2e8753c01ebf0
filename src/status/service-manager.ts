// Tells systemd how the daemon is, by sd_notify(3): READY, STATUS, RELOADING, STOPPING, and WATCHDOG while it is alive.
// Without NOTIFY_SOCKET in the environment it does nothing at all.
import { DatagramSender } from '../sys/datagram.ts'
import { monotonicMicroseconds } from '../sys/libc.ts'

export interface ServiceManagerOptions {
  /** Told what hinders telling. */
  readonly onTrouble: (reason: string) => void
  /** Why the process is no good any more: then it is to be killed, and no WATCHDOG=1 is sent. */
  readonly stuck: () => string | undefined
}

/** The variables are taken out, so that no child speaks for us. */
export type Environment = Record<string, string | undefined>

const FIRST_RETRY_MS = 100
const LONGEST_RETRY_MS = 5_000
/** Shorter watchdogs are no watchdogs. */
const LEAST_WATCHDOG_MS = 100

export class ServiceManager implements Disposable {
  readonly #options: ServiceManagerOptions
  readonly #sender: DatagramSender | undefined
  /** What has changed and could not be sent yet. */
  readonly #pending = new Map<string, string>()
  #retry: NodeJS.Timeout | undefined
  #pauseMs = FIRST_RETRY_MS
  #watchdog: NodeJS.Timeout | undefined
  #isReady = false
  #isStopping = false

  constructor(environment: Environment, options: ServiceManagerOptions) {
    this.#options = options
    const { NOTIFY_SOCKET: path, WATCHDOG_USEC: period, WATCHDOG_PID: pid } = environment
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name]
    if (path === undefined || path === '') return
    this.#sender = this.#open(path)
    if (this.#sender === undefined || period === undefined) return
    if (pid !== undefined && pid !== '' && pid !== `${process.pid}`) return
    this.#watch(period)
  }

  /** What the daemon does, in words for people. */
  status(text: string): void {
    this.#tell({ STATUS: text })
  }

  /** Start-up is over. Told once; a daemon that is unready later says so in its status. */
  ready(): void {
    if (this.#isReady) return
    this.#isReady = true
    this.#tell({ READY: '1' })
  }

  /** Before and after options are read again. */
  reloading(): void {
    if (this.#isReady) this.#tell({ RELOADING: '1', MONOTONIC_USEC: `${monotonicMicroseconds()}` })
  }
  reloaded(): void {
    if (this.#isReady) this.#tell({ READY: '1' })
  }

  /** Nothing is told after this. */
  stopping(text: string): void {
    this.#tell({ STOPPING: '1', STATUS: text })
    this.#isStopping = true
    clearTimeout(this.#retry)
  }

  #open(path: string): DatagramSender | undefined {
    try {
      return new DatagramSender(path)
    } catch (error) {
      this.#complain(error)
      return undefined
    }
  }

  #tell(news: Readonly<Record<string, string>>): void {
    if (this.#sender === undefined || this.#isStopping) return
    for (const [name, value] of Object.entries(news)) {
      // The order counts where RELOADING is followed by READY.
      this.#pending.delete(name)
      this.#pending.set(name, value.replace(/\s+/g, ' '))
    }
    if (this.#retry === undefined) this.#flush()
  }

  #flush(): void {
    this.#retry = undefined
    const lines = [...this.#pending].map(([name, value]) => `${name}=${value}`)
    if (this.#send(lines.join('\n'))) {
      this.#pending.clear()
      this.#pauseMs = FIRST_RETRY_MS
      return
    }
    this.#retry = setTimeout(() => this.#flush(), this.#pauseMs)
    this.#retry.unref()
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_RETRY_MS)
  }

  /** False if it is to be tried again. */
  #send(text: string): boolean {
    try {
      return this.#sender?.send(text) !== false
    } catch (error) {
      this.#complain(error)
      return true
    }
  }

  #complain(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error)
    this.#options.onTrouble(`systemd can't be told how flanneld is (NOTIFY_SOCKET): ${why}`)
  }

  /** Half the time, as sd_watchdog_enabled(3) asks for. The only timer of an idle daemon, and only where it is asked for. */
  #watch(period: string): void {
    const milliseconds = /^\d+$/.test(period) ? Number(period) / 1000 : NaN
    if (!(milliseconds >= LEAST_WATCHDOG_MS)) {
      this.#options.onTrouble(
        `WATCHDOG_USEC=${period} is no time of at least ${LEAST_WATCHDOG_MS} ms: ignored`,
      )
      return
    }
    this.#watchdog = setInterval(() => this.#beat(), Math.min(milliseconds / 2, 2 ** 31 - 1))
    this.#watchdog.unref()
    this.#beat()
  }

  #beat(): void {
    const stuck = this.#options.stuck()
    if (stuck === undefined) this.#send('WATCHDOG=1')
    else
      this.#options.onTrouble(`the watchdog is not fed any more, so that systemd restarts flanneld: ${stuck}`)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#retry)
    clearInterval(this.#watchdog)
    this.#sender?.[Symbol.dispose]()
  }
}
