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

export type ReadNumber = number | { readonly reason: string }

/** A setting that is a number: undefined where the kernel has no such setting; with the reason where it can't be read. */
export function readNumber(name: string, namespace?: Namespace): ReadNumber | undefined {
  try {
    const text = readSysctl(name, namespace)
    return /^-?\d+$/.test(text)
      ? Number(text)
      : { reason: `${settingName(name)} is ${text}, which is no number` }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    if (code === 'EACCES' || code === 'EPERM' || code === 'EINVAL' || code === 'EIO')
      return { reason: `${settingName(name)} can't be read: ${code}` }
    throw error
  }
}

/** As sysctl(8) takes and prints it: with dots, unless a part of the name has one. */
export const settingName = (name: string): string => (name.includes('.') ? name : name.replaceAll('/', '.'))

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
