// Progress on stderr: on a terminal the step under way is rewritten in place; elsewhere a line for each step that is
// over, and a sign of life in between.
import type { Progress } from '../lab/progress.ts'
import { styleFor } from './style.ts'

const SIGN_OF_LIFE_MS = 5_000
const STEP_WIDTH = 9

export function progressOn(stream: NodeJS.WriteStream): Progress & Disposable {
  const style = styleFor(stream)
  const started = performance.now()
  let lineOpen = false
  let last = started
  const clear = () => {
    if (lineOpen) stream.write('\r\u001B[K')
    lineOpen = false
  }
  const say = (sign: string, step: string, detail: string) => `${sign} ${step.padEnd(STEP_WIDTH)} ${detail}`
  return {
    working(step, detail) {
      if (stream.isTTY) {
        clear()
        stream.write(say('…', step, detail).slice(0, Math.max(20, (stream.columns || 80) - 1)))
        lineOpen = true
      } else if (performance.now() - last > SIGN_OF_LIFE_MS) {
        last = performance.now()
        stream.write(`${say('…', step, detail)}\n`)
      }
    },
    done(step, detail, well = true) {
      clear()
      last = performance.now()
      const seconds = ((last - started) / 1000).toFixed(1)
      stream.write(
        `${say(well ? style.good('✓') : style.bad('✗'), step, detail)} ${style.dim(`${seconds} s`)}\n`,
      )
    },
    [Symbol.dispose]: clear,
  }
}

/** For programs: nothing but on a terminal, where a person waits. */
export const quiet: Progress & Disposable = {
  working: () => undefined,
  done: () => undefined,
  [Symbol.dispose]: () => undefined,
}
