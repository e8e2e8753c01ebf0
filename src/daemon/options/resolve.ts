// One value for each option from all that were given: flags beat environment beat file beat defaults. Refuses what
// this build can't do and values out of range. Pure.
import {
  givenAs,
  OptionsError,
  shown,
  type Note,
  type Option,
  type Origin,
  type Setting,
  type Settings,
} from './option.ts'
import { OPTIONS } from './table.ts'

export interface Resolved {
  /** Every option of the table, with where its value comes from. */
  readonly settings: Settings
  readonly notes: readonly Note[]
}

const DEFAULT: Origin = { kind: 'default' }

/** `layers`: the strongest first. Throws OptionsError. */
export function resolve(layers: readonly Settings[]): Resolved {
  const settings = new Map<string, Setting>()
  const notes: Note[] = []
  for (const option of OPTIONS) {
    const given = layers.map((layer) => layer.get(option.name)).find((setting) => setting !== undefined)
    const setting = given ?? { value: option.default, origin: DEFAULT }
    if (given !== undefined) notes.push(...examine(option, setting))
    settings.set(option.name, setting)
  }
  requirePair(settings, 'etcd-keyfile', 'etcd-certfile')
  return { settings, notes }
}

function examine(option: Option, setting: Setting): Note[] {
  const { value, origin } = setting
  if (isDefault(option, setting)) return []
  if (option.refused !== undefined) throw new OptionsError(`${givenAs(origin)}: ${option.refused}`)
  const wrong = option.check?.(value)
  if (wrong !== undefined) throw new OptionsError(`${givenAs(origin)} ${shown(option, value)}: ${wrong}`)
  if (option.without === undefined) return []
  return [{ level: 'info', text: `${givenAs(origin)} has no effect: ${option.without}` }]
}

export const isDefault = (option: Option, { value }: Setting): boolean =>
  String(value) === String(option.default)

function requirePair(settings: Settings, one: string, other: string): void {
  const isGiven = (name: string) => settings.get(name)?.value !== ''
  if (isGiven(one) === isGiven(other)) return
  const [given, missing] = isGiven(one) ? [one, other] : [other, one]
  throw new OptionsError(
    `${givenAs(settings.get(given)?.origin ?? DEFAULT)} goes together with --${missing}: give both, or neither for TLS without a client certificate`,
  )
}
