// Gives memory back: garbage on the heap, and pages of the executable that were read once. Those stay in the page cache;
// one that is needed again comes back by a minor fault.
import { readFileSync } from 'node:fs'
import { madviseDontNeed } from './libc.ts'

const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ \S+ *(.*)$/

/** To be called once the process is at its work. Costs some milliseconds. */
export function releaseStartupMemory(): void {
  releaseGarbage()
  releasePages()
}

export function releaseGarbage(): void {
  Bun.gc(true)
}

export function releasePages(): void {
  for (const { address, bytes } of cleanFileMappings(readFileSync('/proc/self/smaps', 'utf8')))
    madviseDontNeed(address, bytes)
}

/** Mappings of files without a page of our own making: only their contents can come back from the file. */
export function cleanFileMappings(smaps: string): { address: number; bytes: number }[] {
  return smaps.split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/).flatMap((entry) => {
    const [, from = '', to = '', permissions = '', path = ''] =
      MAPPING.exec(entry.split('\n', 1)[0] ?? '') ?? []
    const isClean = /^Anonymous: +0 kB$/m.test(entry) && permissions[1] === '-' && permissions[3] === 'p'
    const address = parseInt(from, 16)
    return isClean && path.startsWith('/') ? [{ address, bytes: parseInt(to, 16) - address }] : []
  })
}
