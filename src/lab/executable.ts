// This program itself, to be started again under one of its three names.
import { dirname, join } from 'node:path'

/** Compiled, the sources live in the executable; else the runtime needs to be told where they are. */
const compiled = import.meta.dirname.startsWith('/$bunfs/')

export const executable = {
  file: process.execPath,
  /** Holds `flanneld` and `flannel` beside `heddle`: the CNI_PATH of a runtime. */
  directory: dirname(process.execPath),
  /** Arguments that come before a program's own. */
  prefix: compiled ? [] : [join(import.meta.dirname, '..', 'main.ts')],
} as const
