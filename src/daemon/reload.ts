// What is read again on SIGHUP. Whoever has something to read again adds itself here.
import { log } from '../sys/log.ts'

const logger = log.from('reload.ts')

/** Reads again and puts in force what can be; a sentence about what came of it. Throws if nothing could be read: all stays. */
export type Reread = () => Promise<string>

export class Reload {
  readonly #rereads = new Map<string, Reread>()
  #running: Promise<void> | undefined
  #again = false

  /** `what` is for the log: `options`, `certificates`. Taken away by disposal. */
  add(what: string, reread: Reread): Disposable {
    this.#rereads.set(what, reread)
    return { [Symbol.dispose]: () => void this.#rereads.delete(what) }
  }

  /** All of it, one after the other. Called again meanwhile, it runs once more after that. */
  async run(): Promise<void> {
    this.#again = true
    this.#running ??= this.#drain().finally(() => (this.#running = undefined))
    await this.#running
  }

  async #drain(): Promise<void> {
    while (this.#again) {
      this.#again = false
      for (const [what, reread] of this.#rereads) {
        // Whoever sends the signal again wants to be answered again.
        const about = 'reload'
        try {
          logger.info(`SIGHUP: ${what} read again: ${await reread()}`, { about, key: `${performance.now()}` })
        } catch (error) {
          const why = error instanceof Error ? error.message : String(error)
          logger.error(`SIGHUP: ${what} can't be read again, all stays as it is: ${why}`, {
            about,
            key: `${performance.now()}`,
          })
        }
      }
    }
  }
}
