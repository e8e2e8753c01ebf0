// Kernel settings under /proc/sys. Those under net/ belong to the network namespace of the thread that opens them.
import { readFileSync, writeFileSync } from 'node:fs'
import type { Namespace } from './namespace.ts'

/** `name` with slashes, since link names may have dots: `net/ipv4/conf/flannel.1/rp_filter`. */
export const readSysctl = (name: string, namespace?: Namespace): string =>
  within(namespace, () => readFileSync(pathOf(name), 'utf8').trim())

/** Undefined where the kernel has no such setting. */
export function readSysctlIfThere(name: string): string | undefined {
  try {
    return readSysctl(name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Throws Node's ErrnoException: ENOENT for an unknown name, EROFS or EACCES where /proc/sys can't be written. */
export const writeSysctl = (name: string, value: string | number, namespace?: Namespace): void =>
  within(namespace, () => writeFileSync(pathOf(name), `${value}`))

const within = <T>(namespace: Namespace | undefined, act: () => T): T =>
  namespace === undefined ? act() : namespace.run(act)

function pathOf(name: string): string {
  if (name.split('/').some((part) => part === '' || part === '.' || part === '..'))
    throw new RangeError(`${JSON.stringify(name)} is not the name of a kernel setting`)
  return `/proc/sys/${name}`
}
