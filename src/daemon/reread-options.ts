// Options read again on SIGHUP: those of the log are put in force, others that have changed are named.
import { configureLog, LOG_OPTIONS } from './log-options.ts'
import { readOptions, type Environment, type Given } from './options.ts'

/** `given`: the options in force. Returns a sentence about what has changed; throws if they are refused. */
export class OptionsReread {
  readonly #args: readonly string[]
  readonly #environment: Environment
  #given: Given
  /** Of the start: what can't be changed is as it was then. */
  readonly #first: Given

  constructor(args: readonly string[], environment: Environment, given: Given) {
    this.#args = args
    this.#environment = environment
    this.#given = given
    this.#first = given
  }

  async run(): Promise<string> {
    const parsed = await readOptions(this.#args, this.#environment)
    if (parsed.kind === 'refused') throw new Error(parsed.reason)
    if (parsed.kind !== 'options') throw new Error(`flanneld was started without --${parsed.kind}`)
    const live = changed(this.#given, parsed).filter((name) => LOG_OPTIONS.includes(name))
    await configureLog(parsed.options)
    this.#given = parsed
    const others = changed(this.#first, parsed).filter((name) => !LOG_OPTIONS.includes(name))
    const parts = [
      ...(live.length === 0 ? [] : [`now in force: ${flags(live)}`]),
      ...(others.length === 0 ? [] : [`changed, in force after a restart: ${flags(others)}`]),
    ]
    return parts.join('; ') || 'nothing has changed'
  }
}

const changed = (before: Given, after: Given): (keyof Given['options'])[] =>
  (Object.keys(after.options) as (keyof Given['options'])[]).filter(
    (name) => JSON.stringify(before.options[name]) !== JSON.stringify(after.options[name]),
  )

const flags = (names: readonly string[]): string => names.map((name) => `--${name}`).join(' ')
