// Keeps a process of the lab running, the newest build of it, under a name of the lab's.
import type { LabDirectory } from './directory.ts'
import { until } from './wait.ts'
import { endingOf, endProcess, isAlive, isOutdated, startProcess, type ProcessStart } from './process.ts'

const END_MS = 5_000

/** Starts it unless it runs; one that runs an older build is ended first. */
export async function keepRunning(
  directory: LabDirectory,
  name: string,
  start: Omit<ProcessStart, 'logFile'>,
  signal: AbortSignal,
): Promise<void> {
  const before = directory.process(name)
  if (before !== undefined && isAlive(before)) {
    if (!isOutdated(before)) return
    endProcess(before)
    // Its address and files are free once it is gone.
    await until(() => (isAlive(before) ? undefined : true), {
      deadlineMs: END_MS,
      signal,
      late: () => `${name}: process ${before.pid} does not end`,
    })
  }
  directory.writeProcess(name, startProcess({ ...start, logFile: directory.log(name) }))
}

export function isRunning(directory: LabDirectory, name: string): boolean {
  const record = directory.process(name)
  return record !== undefined && isAlive(record)
}

/** What follows `its flanneld ended`. */
export async function endingUnder(directory: LabDirectory, name: string): Promise<string> {
  const record = directory.process(name)
  return record === undefined ? '' : endingOf(record)
}
