// An uninstall from flanneld's options to its exit code: 0 nothing of ours is left here; 1 something is, or a running
// flanneld forbids it, or it can't be looked; 2 the options are refused.
import { writeStderr } from '../../sys/log-stderr.ts'
import { log } from '../../sys/log.ts'
import { readOptions } from '../options.ts'
import { uninstall } from './uninstall.ts'

export interface Outlet {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
}

/** `words`: flanneld's flags. */
export async function uninstallMain(
  words: readonly string[],
  how: { readonly isDryRun: boolean; readonly isForced: boolean },
  { out, err }: Outlet,
): Promise<number> {
  const given = await readOptions(words, process.env)
  if (given.kind !== 'options') {
    err(`${given.kind === 'refused' ? given.reason : `--${given.kind} has no place here`}\n`)
    return 2
  }
  for (const { text } of given.notes) err(`${text}\n`)
  // What is done is on stdout; the rooms that do it tell only of trouble.
  log.configure({ write: (line) => (line.startsWith('I') ? undefined : writeStderr(line)) })
  try {
    return await uninstall(given.options, { ...how, print: (line) => out(`${line}\n`) })
  } catch (error) {
    err(`${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}
