// Gives memory back: garbage on the heap, and pages of the executable that were read once. Those stay in the page cache;
// one that is needed again comes back by a minor fault.
import { readFileSync, readlinkSync } from 'node:fs'
import { madviseDontNeed } from './libc.ts'

const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ \S+ *(.*)$/

/** To be called once the process is at its work. Costs some milliseconds. */
export function releaseStartupMemory(): void {
  releaseGarbage()
  drop(mappings())
}

export function releaseGarbage(): void {
  Bun.gc(true)
}

/** Those of the executable, which stay where they are for as long as the process runs; to look for others costs more. */
export function releaseOwnPages(): void {
  if (own === undefined) {
    const executable = readlinkSync('/proc/self/exe')
    own = mappings().filter(({ path }) => path === executable)
  }
  drop(own)
}
let own: readonly FileMapping[] | undefined

interface FileMapping {
  readonly address: number
  readonly bytes: number
  readonly path: string
}

const mappings = (): FileMapping[] => cleanFileMappings(readFileSync('/proc/self/smaps', 'utf8'))

function drop(mappings: readonly FileMapping[]): void {
  for (const { address, bytes } of mappings) madviseDontNeed(address, bytes)
}

/** Mappings of files without a page of our own making: only their contents can come back from the file. */
export function cleanFileMappings(smaps: string): FileMapping[] {
  return smaps.split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/).flatMap((entry) => {
    const [, from = '', to = '', permissions = '', path = ''] =
      MAPPING.exec(entry.split('\n', 1)[0] ?? '') ?? []
    const isClean = /^Anonymous: +0 kB$/m.test(entry) && permissions[1] === '-' && permissions[3] === 'p'
    const address = parseInt(from, 16)
    return isClean && path.startsWith('/') ? [{ address, bytes: parseInt(to, 16) - address, path }] : []
  })
}
