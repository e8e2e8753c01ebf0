// Options and the network config from a conf file that is a JSON object: each option by its flag's name, etcd's also
// together under `etcd`, and the keys of the network config. Pure.
import type { Json } from '../../../model/lease.ts'
import { requireAllowed } from './from-environment-file.ts'
import type { Conf } from './read.ts'
import { networkFrom } from './network.ts'
import { invalid, parseFlagValue, wanted, type FlagValue } from '../go-values.ts'
import { distinct, unknownName } from './json-names.ts'
import { called, membersOf, parseJsonObject, valueOf, type Member, type Node } from './json-tree.ts'
import { Mistake, placeOf } from './mistake.ts'
import { confName, fold, NETWORK_KEYS } from './network-keys.ts'
import type { Option, Setting } from '../option.ts'
import { OPTIONS } from '../table.ts'

/** Short names under `etcd`, beside those of the flags without `etcd-`. */
export const ETCD_NAMES: ReadonlyMap<string, string> = new Map([
  ['ca', 'etcd-cafile'],
  ['cert', 'etcd-certfile'],
  ['key', 'etcd-keyfile'],
  ['user', 'etcd-username'],
])

/** Throws Mistake. */
export function fromJson(file: string, text: string): Conf {
  const settings = new Map<string, Setting>()
  const network: Member[] = []
  const set = (option: Option, path: string, member: Member) => {
    requireAllowed(option, member.offset, path)
    if (settings.has(option.name)) throw new Mistake(member.offset, `${path} is given twice`)
    const value = optionValue(text, option, path, member.value)
    const place = { file, ...placeOf(text, member.offset) }
    settings.set(option.name, { value, origin: { kind: 'file', name: path, place } })
  }
  for (const member of distinct(membersOf(parseJsonObject(text)))) {
    const folded = fold(member.name)
    if (isNetworkName(folded)) network.push(member)
    else if (folded === 'etcd')
      for (const inner of etcdMembers(member)) set(etcdOption(inner), `etcd.${inner.name}`, inner)
    else set(optionNamed(member), member.name, member)
  }
  if (network.length === 0) return { settings, notes: [] }
  return { settings, ...networkFrom(file, text, network) }
}

const isNetworkName = (folded: string): boolean =>
  folded === 'mtu' || NETWORK_KEYS.some(([key]) => fold(key) === folded)

function etcdMembers({ name, value }: Member): readonly Member[] {
  if (value.type !== 'object')
    throw new Mistake(value.offset, `${name}: want an object, not ${called(value)}`)
  return distinct(membersOf(value))
}

function etcdOption(member: Member): Option {
  const flag = ETCD_NAMES.get(fold(member.name)) ?? `etcd-${member.name}`
  const found = OPTIONS.find((option) => fold(option.name) === fold(flag))
  if (found !== undefined) return found
  const names = OPTIONS.flatMap((option) => (option.name.startsWith('etcd-') ? [option.name.slice(5)] : []))
  throw unknownName(member, [...names, ...ETCD_NAMES.keys()], 'etcd.')
}

function optionNamed(member: Member): Option {
  const folded = fold(member.name)
  const found = OPTIONS.find((option) =>
    [option.name, ...(option.aliases ?? [])].some((one) => fold(one) === folded),
  )
  if (found !== undefined) return found
  const names = [
    ...OPTIONS.map((option) => option.name),
    ...NETWORK_KEYS.map(([key]) => confName(key)),
    'etcd',
    'mtu',
  ]
  throw unknownName(member, names)
}

function optionValue(text: string, option: Option, path: string, node: Node): FlagValue {
  const value = valueOf(text, node)
  if (Array.isArray(value) && (option.type === 'strings' || option.list === true)) {
    const texts: string[] = []
    for (const [i, item] of (value as readonly Json[]).entries()) {
      const at = node.children?.[i] ?? node
      if (typeof item !== 'string') throw new Mistake(at.offset, `${path}: want texts, not ${called(at)}`)
      texts.push(item)
    }
    return option.type === 'strings' ? texts : texts.join(',')
  }
  const isOfType =
    option.type === 'bool'
      ? typeof value === 'boolean'
      : option.type === 'int' || option.type === 'level'
        ? typeof value === 'number'
        : typeof value === 'string'
  if (!isOfType) throw new Mistake(node.offset, `${path}: want ${wanted(option)}, not ${called(node)}`)
  const written = typeof value === 'string' ? value : JSON.stringify(value)
  const read = parseFlagValue(option, written)
  if (read === undefined) throw new Mistake(node.offset, `${path}: ${invalid(option, written)}`)
  return read
}
