// Processor time of a process over a moment, to the nanosecond: what its threads tell in schedstat (the kernel's
// Documentation/scheduler/sched-stats.rst). proc(5) stat, which knows ended children too, has steps of 10 ms.
import { readdirSync, readFileSync } from 'node:fs'

export class CpuClock {
  readonly #folder: string
  readonly #before: ReadonlyMap<string, number>

  /** Runs from now on. */
  constructor(pid: number) {
    this.#folder = `/proc/${pid}/task`
    this.#before = this.#read()
  }

  /** Milliseconds since; without those of threads that have ended since. */
  get milliseconds(): number {
    let nanoseconds = 0
    for (const [thread, now] of this.#read()) nanoseconds += now - (this.#before.get(thread) ?? 0)
    return nanoseconds / 1e6
  }

  #read(): ReadonlyMap<string, number> {
    const times = new Map<string, number>()
    for (const thread of readdirSync(this.#folder)) {
      const text = contents(`${this.#folder}/${thread}/schedstat`)
      if (text !== undefined) times.set(thread, Number(text.split(' ')[0]))
    }
    return times
  }
}

/** Undefined for a thread that has just ended. */
function contents(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH'))
      return undefined
    throw error
  }
}
