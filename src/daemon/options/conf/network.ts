// The network config of a JSON conf file: as text to publish, in upstream's spelling, and read. Pure.
import { parseNetworkConfig, NetworkConfigError, type NetworkConfig } from '../../../model/net-config.ts'
import type { Json } from '../../../model/lease.ts'
import { usable } from '../../config.ts'
import { distinct, unknownName } from './json-names.ts'
import { called, membersOf, valueOf, type Member } from './json-tree.ts'
import { Mistake, placeOf } from './mistake.ts'
import { BACKEND_KEYS, confName, fold, isSecretKey, NETWORK_KEYS, WITH_MTU } from './network-keys.ts'
import { placeText, type Note, type Place } from '../option.ts'

/** What a host that finds no network config in the store puts there. */
export interface ProposedNetwork {
  readonly file: string
  /** The JSON for the store. */
  readonly text: string
  readonly config: NetworkConfig
  /** Each key by the name it has in the file. */
  readonly keys: readonly NetworkSetting[]
}
export interface NetworkSetting {
  readonly name: string
  readonly value: Json
  readonly place: Place
  readonly isSecret: boolean
}

interface Found {
  /** Upstream's. */
  readonly key: string
  /** Of the Backend object. */
  readonly isOption: boolean
  /** As the file names it. */
  readonly path: string
  readonly member: Member
  readonly value: Json
}

/** `members`: those of the network config. Throws Mistake. */
export function networkFrom(
  file: string,
  text: string,
  members: readonly Member[],
): { network: ProposedNetwork; notes: readonly Note[] } {
  const found = members.flatMap((member) => findIn(text, member))
  const published = upstreamText(found)
  const config = read(published, found)
  requireMtuMatters(config, found)
  const placeAt = ({ member }: Found): Place => ({ file, ...placeOf(text, member.offset) })
  const keys = found
    .filter(({ key }) => key !== 'Backend')
    .map((one) => ({ name: one.path, value: one.value, place: placeAt(one), isSecret: isSecretKey(one.key) }))
  const unused = config.ipv6 === undefined ? found.filter(({ key }) => key.startsWith('IPv6')) : []
  const notes = unused.map((one) => ({
    level: 'warning' as const,
    text: `${placeText(placeAt(one))}: ${one.path} has no effect: enableIPv6 is not true`,
  }))
  return { network: { file, text: published, config, keys }, notes }
}

/** The member, and those of the back end. */
function findIn(text: string, member: Member): Found[] {
  const { name } = member
  const value = valueOf(text, member.value)
  if (fold(name) === 'mtu') return [{ key: 'MTU', isOption: true, path: name, member, value }]
  const key = NETWORK_KEYS.map(([key]) => key).find((key) => fold(key) === fold(name)) ?? name
  const found: Found = { key, isOption: false, path: name, member, value }
  if (key !== 'Backend') return [found]
  if (member.value.type !== 'object')
    throw new Mistake(member.value.offset, `${name}: want an object, not ${called(member.value)}`)
  const options = distinct(membersOf(member.value)).map((option): Found => {
    const key = BACKEND_KEYS.find((one) => fold(one) === fold(option.name))
    if (key === undefined) throw unknownName(option, BACKEND_KEYS.map(confName), `${name}.`)
    const path = `${name}.${option.name}`
    return { key, isOption: true, path, member: option, value: valueOf(text, option.value) }
  })
  return [found, ...options]
}

function upstreamText(found: readonly Found[]): string {
  const [mtu, again] = found.filter(({ key }) => key === 'MTU')
  if (again !== undefined)
    throw new Mistake(again.member.offset, `${again.path} is given twice: ${mtu?.path} is the same`)
  if (mtu !== undefined && !found.some(({ key }) => key === 'Type'))
    throw new Mistake(mtu.member.offset, `${mtu.path} is an option of the back end: want backend.type too`)
  const ordered = (keys: readonly string[], isOption: boolean): Record<string, Json> => {
    const among = found.filter((one) => one.isOption === isOption)
    return Object.fromEntries(
      keys.flatMap((key) => among.filter((one) => one.key === key).map(({ value }) => [key, value] as const)),
    )
  }
  const options = ordered(BACKEND_KEYS, true)
  const json = ordered(
    NETWORK_KEYS.map(([key]) => key),
    false,
  )
  return JSON.stringify(json['Backend'] === undefined ? json : { ...json, Backend: options })
}

/** Throws Mistake about the key that the refusal names. */
function read(published: string, found: readonly Found[]): NetworkConfig {
  let config: NetworkConfig
  try {
    config = parseNetworkConfig(published)
  } catch (error) {
    if (error instanceof NetworkConfigError) throw mistakeAbout(error.message, found, found[0])
    throw error
  }
  const able = usable(config)
  if (typeof able !== 'string') return config
  throw mistakeAbout(able, found, found.find(({ key }) => key === 'Type') ?? found[0])
}

/** The sentences of the model and of back ends name keys in upstream's spelling; the narrowest is the one they are about. */
function mistakeAbout(sentence: string, found: readonly Found[], otherwise: Found | undefined): Mistake {
  const [narrowest] = found
    .filter(({ key }) => new RegExp(`(?<![A-Za-z0-9])${key}(?![A-Za-z0-9])`).test(sentence))
    .toSorted((a, b) => Number(b.isOption) - Number(a.isOption) || b.key.length - a.key.length)
  return new Mistake((narrowest ?? otherwise)?.member.value.offset ?? 0, sentence)
}

function requireMtuMatters({ backendType }: NetworkConfig, found: readonly Found[]): void {
  const mtu = found.find(({ key }) => key === 'MTU')
  if (mtu !== undefined && !WITH_MTU.includes(backendType))
    throw new Mistake(
      mtu.member.offset,
      `${mtu.path}: the ${backendType} back end takes the interface's MTU; set that instead`,
    )
}
