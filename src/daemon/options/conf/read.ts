// The conf file: found, read, and told apart by how it begins. Reads the file and nothing else; what is wrong in it is
// told with line and column.
import { readFileSync, statSync, type Stats } from 'node:fs'
import { fromEnvironmentFile } from './from-environment-file.ts'
import type { ProposedNetwork } from './network.ts'
import { Mistake, placeOf } from './mistake.ts'
import { OptionsError, placeText } from '../option.ts'
import type { Source } from '../sources.ts'
import { OPTIONS } from '../table.ts'

export interface Conf extends Source {
  readonly network?: ProposedNetwork
}

/** No conf file is that large. */
const MOST_BYTES = 1 << 16
/** S_IROTH of stat(2). */
const READ_BY_OTHERS = 0o004

/** What the file gives; undefined if it isn't there and need not be. Throws OptionsError. */
export async function readConf(file: string, mayBeMissing: boolean): Promise<Conf | undefined> {
  const found = contentsOf(file, mayBeMissing)
  if (found === undefined) return undefined
  const { text, mode } = found
  try {
    const conf = await parse(file, text)
    const isSecret =
      OPTIONS.some((option) => option.secret && conf.settings.has(option.name)) ||
      conf.network?.keys.some((key) => key.isSecret)
    if (!isSecret || (mode & READ_BY_OTHERS) === 0) return conf
    const open = `${file} has a secret in it, and every user of this host may read it: chmod 600 ${file}`
    return { ...conf, notes: [...conf.notes, { level: 'warning', text: open }] }
  } catch (error) {
    if (!(error instanceof Mistake)) throw error
    throw new OptionsError(`${placeText({ file, ...placeOf(text, error.offset) })}: ${error.message}`)
  }
}

/** The parser of JSON, and the back ends that a network config is tried on, are loaded only where they are needed. */
async function parse(file: string, text: string): Promise<Conf> {
  if (!/^\s*[{[]/.test(text)) return fromEnvironmentFile(file, text)
  const { fromJson } = await import('./from-json.ts')
  return fromJson(file, text)
}

function contentsOf(file: string, mayBeMissing: boolean): { text: string; mode: number } | undefined {
  let stats: Stats
  let bytes: Uint8Array
  try {
    stats = statSync(file)
    if (!stats.isFile()) throw new OptionsError(`${file} (--config-file) is no file`)
    if (stats.size > MOST_BYTES)
      throw new OptionsError(
        `${file} (--config-file) has ${stats.size} bytes: no conf file has more than ${MOST_BYTES}`,
      )
    bytes = readFileSync(file)
  } catch (error) {
    if (error instanceof OptionsError) throw error
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (mayBeMissing && (code === 'ENOENT' || code === 'ENOTDIR')) return undefined
    // Node says which call failed, too, and the path again.
    const [why] = (error instanceof Error ? error.message : String(error)).split(', ')
    throw new OptionsError(`${file} (--config-file): ${why}`, { cause: error })
  }
  const text = new TextDecoder().decode(bytes)
  const place = (offset: number) => placeText({ file, ...placeOf(text, offset) })
  const nul = text.indexOf('\0')
  if (nul >= 0) throw new OptionsError(`${place(nul)}: a NUL byte: a conf file is text`)
  if (Buffer.from(text).equals(bytes) || text.length === 0) return { text, mode: stats.mode }
  // A byte order mark at the beginning is no mistake, and not in the text.
  if (Buffer.from(`\uFEFF${text}`).equals(bytes)) return { text, mode: stats.mode }
  throw new OptionsError(`${place(text.indexOf('\uFFFD'))}: these bytes are no UTF-8`)
}
