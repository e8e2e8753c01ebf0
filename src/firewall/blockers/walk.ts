// Which rule, or which chain's policy, ends the way of a packet: it is led through the chains that the kernel would ask,
// in their order. Where a rule's matches can't be foreseen it is followed both ways, and what it drops is told as what
// may be dropped. Pure, but for reading rules as it comes to them.
import type {
  BaseChain,
  Counter,
  ForeignRule,
  ForeignSet,
  Hook,
  TableOfAny,
} from '../../netlink/nftables/foreign/ruleset.ts'
import { SOME_PORT, type Packet, type Port } from './packet.ts'
import { allOf } from '../../netlink/nftables/foreign/expression.ts'
import { isOn, outcomesOf, Registers, unmarked, type Outcome, type Traveller } from './rule-effect.ts'

/** A table of nf_tables, or one of iptables-legacy's, whose hooks are asked among nf_tables' by priority. */
export interface Table extends TableOfAny {
  readonly isLegacy?: true
}
export interface Chain {
  readonly table: Table
  readonly name: string
}
export type Base = Omit<BaseChain, 'table'> & Chain

/** What the kernel has, read as it is asked for. */
export interface Ruleset {
  readonly baseChains: readonly Base[]
  rules(chain: Chain): readonly ForeignRule[]
  set(table: Table, name: string): ForeignSet | undefined
}

export interface Blocker {
  /** `drops`: none of these packets gets past it. */
  readonly certainty: 'drops' | 'may drop'
  readonly how: 'drop' | 'reject' | 'policy' | 'queue'
  readonly hook: Hook
  readonly chain: Chain
  /** The chain that the kernel asks, from which it was come to. */
  readonly base: Base
  /** Undefined of a policy. */
  readonly rule?: ForeignRule & { readonly position: number }
  /** How often it did so, to whatever packets; undefined where nobody counts. */
  readonly counter?: Counter
}

/** A ruleset that needs more is too much to follow. */
const MOST_RULES = 100_000
/** Of those that may drop it: more don't help. */
const MOST_DOUBTFUL = 8

export interface Verdict {
  /** In the order in which the packet meets them; the last one is certain, or none is. */
  readonly blockers: readonly Blocker[]
  /** Why the rest isn't known. */
  readonly unfinished?: string
}

export function follow(packet: Packet, ruleset: Ruleset): Verdict {
  const walk = new Walk(packet, ruleset)
  for (const stage of stagesOf(packet))
    for (const base of chainsAt(stage, packet, ruleset))
      if (walk.passes(base, stage) === 'never') return walk.verdict()
  return walk.verdict()
}

/** A hook of a layer, and what is known there of the way in and out. */
interface Stage {
  readonly layer: 'bridge' | 'ip'
  readonly hook: Hook
  readonly in: Port | undefined
  readonly out: Port | undefined
}

/** A bridge's own rules see what comes out of its ports first, and what goes into them last. */
function stagesOf({ hooks, in: from, out: to, podLink }: Packet): Stage[] {
  const bridge = (hook: Hook): Stage => ({ layer: 'bridge', hook, in: SOME_PORT, out: SOME_PORT })
  return [
    ...(from !== undefined && from === podLink ? [bridge('prerouting'), bridge('input')] : []),
    ...hooks.map((hook): Stage => {
      // Behind routing alone is it known what it leaves through.
      const isEarly = hook === 'ingress' || hook === 'prerouting' || hook === 'input'
      return { layer: 'ip', hook, in: hook === 'output' ? undefined : from, out: isEarly ? undefined : to }
    }),
    ...(to !== undefined && to === podLink ? [bridge('output'), bridge('postrouting')] : []),
  ]
}

/** In the order in which the kernel asks them. */
function chainsAt({ layer, hook, in: from, out: to }: Stage, packet: Packet, ruleset: Ruleset): Base[] {
  const own = packet.family === 'ipv4' ? 'ip' : 'ip6'
  return ruleset.baseChains
    .filter((chain) => chain.hook === hook && !isNatOfIptables(chain))
    .filter(({ table: { family }, devices }) =>
      layer === 'bridge'
        ? family === 'bridge'
        : hook === 'ingress' || hook === 'egress'
          ? isOn(devices, hook === 'egress' ? to : from)
          : family === 'inet' || family === own,
    )
    .toSorted((a, b) => a.priority - b.priority)
}

/** iptables takes no DROP there, and kube-proxy's are long. */
const isNatOfIptables = ({ table, type, name }: Base): boolean =>
  type === 'nat' && table.name === 'nat' && name === name.toUpperCase()

/** Chains called from one another; the kernel takes 16 (NFT_JUMP_STACK_SIZE). */
const DEEPEST = 16

interface Place {
  readonly chain: Chain
  readonly rule: ForeignRule
  readonly position: number
  readonly isSure: boolean
  readonly depth: number
}

type End = 'accepted' | 'dropped' | 'through'
interface Ended {
  readonly end: End
  /** Else some may have returned before. */
  readonly isWhole: boolean
}

class Walk {
  readonly #ruleset: Ruleset
  readonly #traveller: Traveller
  readonly #blockers: Blocker[] = []
  readonly #seen = new Set<string>()
  #base: Base | undefined
  #rules = 0
  /** Whether the packet may have left this base chain's rules already. */
  #mayBeOut = false
  #unfinished: string | undefined

  constructor(packet: Packet, ruleset: Ruleset) {
    this.#ruleset = ruleset
    this.#traveller = { packet, in: packet.in, out: undefined, mark: unmarked(), registers: new Registers() }
  }

  verdict(): Verdict {
    const certain = this.#blockers.findIndex(({ certainty }) => certainty === 'drops')
    const blockers = certain < 0 ? this.#blockers : this.#blockers.slice(0, certain + 1)
    return { blockers, ...(this.#unfinished !== undefined && { unfinished: this.#unfinished }) }
  }

  /** `never`: it ends here for certain. */
  passes(base: Base, { in: from, out: to }: Stage): 'never' | 'perhaps' {
    Object.assign(this.#traveller, { in: from, out: to })
    this.#base = base
    this.#mayBeOut = false
    const end = this.#walk({ table: base.table, name: base.name }, true, 0)
    const isSure = end.end === 'through' && !this.#mayBeOut
    if ((end.end === 'through' || !end.isWhole) && base.policy === 'drop')
      this.#tell({ how: 'policy', chain: base, isSure, counter: base.counter })
    return this.#blockers.some(({ certainty }) => certainty === 'drops') ? 'never' : 'perhaps'
  }

  /** `isSure`: every such packet comes here. */
  #walk(chain: Chain, isSure: boolean, depth: number): Ended {
    let isWhole = true
    const setNamed = (name: string) => this.#ruleset.set(chain.table, name)
    for (const [position, rule] of this.#ruleset.rules(chain).entries()) {
      if (++this.#rules > MOST_RULES || depth > DEEPEST) {
        this.#unfinished ??= `more than ${MOST_RULES} rules`
        this.#mayBeOut = true
        break
      }
      for (const outcome of outcomesOf(rule.expressions, this.#traveller, setNamed)) {
        const step = this.#take(outcome, { chain, rule, position, isSure: isSure && isWhole, depth })
        if (step === 'perhaps gone') isWhole = false
        else if (step !== 'on') return { end: step, isWhole: isWhole || step === 'through' }
      }
    }
    return { end: 'through', isWhole: true }
  }

  #take({ answer, verdict }: Outcome, at: Place): 'on' | 'perhaps gone' | End {
    const isCertain = answer === 'yes'
    const isSure = at.isSure && isCertain
    switch (verdict.code) {
      case 'continue':
      case 'break':
        return 'on'
      case 'accept':
        if (!isSure) this.#mayBeOut = true
        return isCertain ? 'accepted' : 'on'
      case 'return':
        return isCertain ? 'through' : 'perhaps gone'
      case 'queue':
        this.#tell({ how: 'queue', ...at, isSure: false, counter: counterOf(at.rule) })
        this.#mayBeOut = true
        return isCertain ? 'accepted' : 'on'
      case 'drop':
      case 'reject':
        this.#tell({
          how: verdict.code,
          ...at,
          isSure: isSure && !this.#mayBeOut,
          counter: counterOf(at.rule),
        })
        return isCertain ? 'dropped' : 'on'
      case 'jump':
      case 'goto': {
        const next = { table: at.chain.table, name: verdict.chain }
        const { end, isWhole } = this.#walk(next, isSure, at.depth + 1)
        // Where some may have come back from there, the rest of this chain is for them.
        const isOver = end !== 'through' && isWhole
        if (verdict.code === 'jump') return isOver && isCertain ? end : 'on'
        if (isCertain) return isOver ? end : 'through'
        return isOver ? 'on' : 'perhaps gone'
      }
      default:
        verdict satisfies never
        return 'on'
    }
  }

  #tell(found: {
    how: Blocker['how']
    chain: Chain
    isSure: boolean
    counter: Counter | undefined
    rule?: ForeignRule
    position?: number
  }): void {
    const base = this.#base
    if (base === undefined) return
    const { chain, rule, position = 0, how, isSure, counter } = found
    const id = [
      chain.table.isLegacy,
      chain.table.family,
      chain.table.name,
      chain.name,
      rule?.handle ?? 'policy',
      isSure,
    ].join(' ')
    if (this.#seen.has(id)) return
    this.#seen.add(id)
    if (!isSure && this.#blockers.length >= MOST_DOUBTFUL) return
    this.#blockers.push({
      certainty: isSure ? 'drops' : 'may drop',
      how,
      hook: base.hook,
      chain: { table: chain.table, name: chain.name },
      base,
      ...(rule && { rule: { ...rule, position } }),
      ...(counter && { counter }),
    })
  }
}

function counterOf({ expressions }: ForeignRule): Counter | undefined {
  for (const e of allOf(expressions)) if (e.op === 'counter') return { packets: e.packets, bytes: e.bytes }
  return undefined
}
