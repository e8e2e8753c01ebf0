// One flanneld to one subnet.env: a second one with the same flags is refused, rather than that both fight over it.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { tryLockFile } from '../sys/lock.ts'
import { log } from '../sys/log.ts'

const logger = log.from('instance-lock.ts')

export const lockPath = (subnetFile: string): string => `${subnetFile}.lock`

/** Held until disposed, or until this process ends. Throws if another flanneld has it; that it can't be made is no reason to stop. */
export function claimInstance(subnetFile: string): Disposable {
  const path = lockPath(subnetFile)
  const nothing = { [Symbol.dispose]: () => undefined }
  try {
    mkdirSync(dirname(path), { recursive: true })
    const lock = tryLockFile(path)
    if (lock === undefined) throw new HeldByAnother(subnetFile, path)
    // For people, and for the sentence below.
    writeFileSync(path, `${process.pid}\n`)
    return lock
  } catch (error) {
    if (error instanceof HeldByAnother) throw error
    logger.warning(
      `can't lock ${path}, so a second flanneld would not be noticed: ${error instanceof Error ? error.message : String(error)}`,
    )
    return nothing
  }
}

export class HeldByAnother extends Error {
  readonly code = 'held'
  override readonly name = 'HeldByAnother'
  /** Who keeps what, without advice. */
  readonly holder: string

  constructor(subnetFile: string, path: string) {
    const pid = /^\d+/.exec(readFileSync(path, 'utf8'))?.[0]
    const holder = `another flanneld${pid === undefined ? '' : ` (process ${pid})`} keeps ${subnetFile}`
    super(`${holder}: stop it first, or give this one a --subnet-file and a network of its own`)
    this.holder = holder
  }
}
