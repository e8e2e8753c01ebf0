// Lines on stderr. A reader that doesn't read must not stop the process, and one that left must not end it: lines are
// lost then, and counted.
import { writeSync } from 'node:fs'
import { isWritable } from './libc.ts'

const PIPE_BUF = 4096
const CUT = Buffer.from(' …\n')

/** As much as one write takes, whole characters. */
function cut(line: Buffer): Buffer {
  let end = PIPE_BUF - CUT.length
  while (((line[end] ?? 0) & 0xc0) === 0x80) end--
  return Buffer.concat([line.subarray(0, end), CUT])
}

let lost = 0

/** Never waits; what has been written is out when this returns. */
export function writeStderr(line: string): void {
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
