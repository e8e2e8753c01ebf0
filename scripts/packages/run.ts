// Runs one of the tools that packages are made with; a missing one is told with what to install.
import { spawnSync } from 'node:child_process'

/** Its stdout. Throws with what it said, or with `missing` if it isn't there. */
export function run(
  command: string,
  args: readonly string[],
  missing: string,
  environment: Readonly<Record<string, string>> = {},
): string {
  const done = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const failure: NodeJS.ErrnoException | undefined = done.error
  if (failure?.code === 'ENOENT') throw new Error(`there is no ${command} here: ${missing}`)
  if (done.status !== 0) throw new Error(`${command} failed: ${failure?.message ?? done.stderr.trim()}`)
  return done.stdout
}
