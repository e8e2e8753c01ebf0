// What the processes of a lab have said: read from files, so that it works whatever became of them.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { LabDirectory } from './directory.ts'
import { LabError } from './error.ts'

/** Lines by name, hosts first; of all that have a log, or of one. */
export function logsOf(
  directory: LabDirectory,
  name: string | undefined,
): ReadonlyMap<string, readonly string[]> {
  const known = readdirSync(dirname(directory.log('')))
    .filter((file) => file.endsWith('.log'))
    .map((file) => file.slice(0, -4))
    .toSorted((a, b) => order(a) - order(b) || a.localeCompare(b))
  if (name !== undefined && !known.includes(name))
    throw new LabError(
      'usage',
      `${name} has no log; ${known.join(', ') || 'nothing'} ${known.length === 1 ? 'has' : 'have'} one`,
    )
  return new Map(
    known
      .filter((one) => name === undefined || one === name)
      .map((one) => [one, readFileSync(directory.log(one), 'utf8').split('\n').slice(0, -1)]),
  )
}

const order = (name: string): number => Number(/^h(\d+)$/.exec(name)?.[1] ?? Infinity)
