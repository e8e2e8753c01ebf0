// What firewalld must be told so that it lets pods through: the pod network among the sources of its zone `trusted`, and
// the tunnel's port in the zone of the interface between hosts; now (runtime) and for after a reload or restart
// (permanent). What somebody else has decided about either stays. Pure.
import { containsPrefix, familyOfPrefix, overlaps, parsePrefix, type Prefix } from '../../model/prefix.ts'
import { opens, type Zone } from './zones.ts'

export const TRUSTED = 'trusted'

/** Something of a zone, `--add-source=10.244.0.0/16` or `--add-port=8472/udp`. */
export interface Binding {
  readonly zone: string
  readonly kind: 'source' | 'port'
  readonly value: string
}
export const bindingText = ({ zone, kind, value }: Binding): string => `${kind} ${value} in zone ${zone}`
export const sameBinding = (a: Binding, b: Binding): boolean =>
  a.zone === b.zone && a.kind === b.kind && a.value === b.value

export interface FirewalldState {
  readonly defaultZone: string
  readonly runtime: ReadonlyMap<string, Zone>
  readonly permanent: ReadonlyMap<string, Zone>
}

export interface FirewalldWish {
  readonly networks: readonly Prefix[]
  /** UDP ports where packets of other hosts arrive. */
  readonly tunnelPorts: readonly number[]
  /** The interface between hosts. */
  readonly underlay: string
}

interface Step {
  readonly op: 'add' | 'remove'
  readonly where: 'runtime' | 'permanent'
  readonly binding: Binding
}
export interface FirewalldPlan {
  readonly steps: readonly Step[]
  /** What is ours from now on: of what we made before what is still wanted, and what is added. */
  readonly ours: readonly Binding[]
  /** What stands in the way and isn't ours to change. */
  readonly notes: readonly string[]
}

const PLACES = ['runtime', 'permanent'] as const

/** `made`: what an earlier plan added. */
export function planFirewalld(
  state: FirewalldState,
  wish: FirewalldWish,
  made: readonly Binding[],
): FirewalldPlan {
  const steps: Step[] = []
  const notes = new Set<string>()
  const wanted: Binding[] = []
  for (const network of wish.networks) {
    const binding: Binding = { zone: TRUSTED, kind: 'source', value: network }
    wanted.push(binding)
    for (const where of PLACES) {
      const met = sourceOver(network, state[where])
      if (met === undefined) steps.push({ op: 'add', where, binding })
      else if (met.zone !== TRUSTED && state[where].get(met.zone)?.target !== 'ACCEPT')
        notes.add(
          `firewalld's zone ${met.zone} has source ${met.source}: what pods may do is what that zone lets through`,
        )
    }
    if (state.runtime.get(TRUSTED)?.target !== 'ACCEPT')
      notes.add(`firewalld's zone ${TRUSTED} doesn't accept all: what pods may do is what it lets through`)
  }
  const name = zoneOf(wish.underlay, state)
  for (const port of wish.tunnelPorts) {
    const binding: Binding = { zone: name, kind: 'port', value: `${port}/udp` }
    wanted.push(binding)
    for (const where of PLACES) {
      const zone = state[where].get(name)
      if (zone === undefined || zone.target === 'ACCEPT' || opens(zone, port)) continue
      steps.push({ op: 'add', where, binding })
    }
  }
  const isWanted = (binding: Binding) => wanted.some((each) => sameBinding(each, binding))
  for (const binding of made) if (!isWanted(binding)) steps.push(...removals(state, binding))
  const added = steps.filter(({ op }) => op === 'add').map(({ binding }) => binding)
  const ours = [...made.filter(isWanted), ...added]
  return {
    steps,
    ours: ours.filter((binding, i) => ours.findIndex((each) => sameBinding(each, binding)) === i),
    notes: [...notes],
  }
}

/** The zone that somebody has decided on: trusted for all of the network, or another for all or part of it. */
function sourceOver(
  network: Prefix,
  zones: ReadonlyMap<string, Zone>,
): { zone: string; source: string } | undefined {
  for (const [zone, { sources }] of zones)
    for (const source of sources) {
      // Others are MAC addresses and ipsets.
      const prefix = parsePrefix(source)
      if (prefix === undefined || familyOfPrefix(prefix) !== familyOfPrefix(network)) continue
      if (zone === TRUSTED ? containsPrefix(prefix, network) : overlaps(prefix, network))
        return { zone, source }
    }
  return undefined
}

/** Takes away what is still there of what was made. */
export const planRemoval = (state: FirewalldState, made: readonly Binding[]): readonly Step[] =>
  made.flatMap((binding) => removals(state, binding))

function removals(state: FirewalldState, binding: Binding): Step[] {
  return PLACES.filter((where) => {
    const zone = state[where].get(binding.zone)
    return zone?.[binding.kind === 'source' ? 'sources' : 'ports'].includes(binding.value)
  }).map((where) => ({ op: 'remove', where, binding }))
}

/** An interface that nobody has put into a zone is in the default one. */
const zoneOf = (link: string, { runtime, defaultZone }: FirewalldState): string =>
  [...runtime].find(([, { interfaces }]) => interfaces.includes(link))?.[0] ?? defaultZone

/** Arguments of firewall-cmd, one call for all steps of a zone and kind. */
export function commandsOf(steps: readonly Step[]): string[][] {
  const calls = new Map<string, string[]>()
  for (const { op, where, binding } of steps) {
    const head = [...(where === 'permanent' ? ['--permanent'] : []), `--zone=${binding.zone}`]
    const key = [...head, op, binding.kind].join(' ')
    const call = calls.get(key) ?? head
    call.push(`--${op}-${binding.kind}=${binding.value}`)
    calls.set(key, call)
  }
  return [...calls.values()]
}
