// Memory given back after the start must come back when it is needed.
import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { cleanFileMappings, releaseStartupMemory } from './memory.ts'

const fileRssKb = (): number =>
  Number(/^RssFile:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])

describe('memory of the start', () => {
  test('is given back, and code that was dropped still runs', () => {
    const before = fileRssKb()
    releaseStartupMemory()
    expect(fileRssKb()).toBeLessThan(before / 2)
    expect(JSON.parse(JSON.stringify({ a: [1, 2] }))).toEqual({ a: [1, 2] })
  })

  test('a mapping that is writable, shared, anonymous or has pages of our own is left alone', () => {
    const entry = (head: string, anonymousKb: number) =>
      `${head}\nSize: 4 kB\nAnonymous:  ${anonymousKb} kB\nVmFlags: rd`
    const smaps = [
      entry('1000-3000 r-xp 00000000 fe:00 12   /bin/heddle', 0),
      entry('3000-4000 r--p 00000000 fe:00 12   /bin/heddle', 4),
      entry('4000-5000 rw-p 00000000 fe:00 12   /bin/heddle', 0),
      entry('5000-6000 r--s 00000000 fe:00 12   /bin/heddle', 0),
      entry('6000-7000 r--p 00000000 00:00 0', 0),
      entry('7000-8000 r-xp 00000000 00:00 0   [vdso]', 0),
    ].join('\n')
    expect(cleanFileMappings(smaps)).toEqual([{ address: 0x1000, bytes: 0x2000, path: '/bin/heddle' }])
  })
})
