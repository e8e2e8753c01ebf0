// An uninstall from flanneld's options to its exit code: 0 nothing of ours is left here; 1 something is, or a running
// flanneld forbids it, or it can't be looked; 2 the options are refused.
import { writeStderr } from '../../sys/log-stderr.ts'
import { log } from '../../sys/log.ts'
import { readWholly } from '../options/wholly.ts'
import { uninstall } from './uninstall.ts'

export interface Outlet {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
}

/** `words`: flanneld's flags, its own --dry-run and --force among them. */
export async function uninstallMain(
  words: readonly string[],
  how: { readonly isDryRun: boolean; readonly isForced: boolean },
  { out, err }: Outlet,
): Promise<number> {
  const given = await readWholly(words, process.env)
  if (typeof given === 'string') {
    err(`${given}\n`)
    return 2
  }
  const { 'dry-run': isDryRun, force: isForced } = given.options
  for (const { text } of given.notes) err(`${text}\n`)
  // What is done is on stdout; the rooms that do it tell only of trouble.
  log.configure({ write: (line) => (line.startsWith('I') ? undefined : writeStderr(line)) })
  try {
    return await uninstall(given.options, {
      // A --dry-run that was taken for the value of the flag before it was meant as one all the same.
      isDryRun: how.isDryRun || isDryRun || words.includes('--dry-run'),
      isForced: how.isForced || isForced,
      print: (line) => out(`${line}\n`),
    })
  } catch (error) {
    err(`${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}
