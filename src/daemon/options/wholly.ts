// flanneld's options as heddle's own commands take them: a word that flanneld would leave unread, with all behind it, is
// refused, for it may be what somebody meant to keep harm away.
import { readOptions, type Environment, type Given } from '../options.ts'
import { parseGoFlags } from './go-flags.ts'
import { OPTIONS } from './table.ts'

/** A sentence if they are refused. */
export async function readWholly(
  words: readonly string[],
  environment: Environment,
): Promise<Given | string> {
  const stray = strayWord(words)
  if (stray !== undefined) return stray
  const given = await readOptions(words, environment)
  if (given.kind === 'options') return given
  return given.kind === 'refused' ? given.reason : `--${given.kind} has no place here`
}

/** A word behind a flag isn't repeated: it may be a secret that has lost its own. */
function strayWord(words: readonly string[]): string | undefined {
  const line = parseGoFlags(OPTIONS, words)
  if (line.kind !== 'flags' || line.unread >= words.length) return undefined
  const before = line.given.at(-1)?.name
  return before === undefined
    ? `${words[line.unread]} is one word too many; see --help`
    : `there is a word too many behind --${before}; a boolean flag takes a value only with =`
}
