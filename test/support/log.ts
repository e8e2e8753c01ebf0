// The lines that this process logs, for tests of what is told. Messages that repeat within a minute are folded: tests
// use objects of their own.
import { log } from '../../src/sys/log.ts'

export interface LogLines extends Disposable {
  readonly lines: readonly string[]
}

export function logLines(): LogLines {
  const lines: string[] = []
  const pass = (line: string) => void process.stderr.write(line)
  log.configure({
    write(line) {
      lines.push(line)
      pass(line)
    },
  })
  return { lines, [Symbol.dispose]: () => log.configure({ write: pass }) }
}
