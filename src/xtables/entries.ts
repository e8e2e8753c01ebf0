// Legacy tables as the kernel gives them out: entries one behind another (struct ipt_entry, ip6t_entry and xt_entry_target
// of linux/netfilter/x_tables.h, linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h). Pure.
import type { Family } from '../model/ip.ts'
import { XtablesError } from './error.ts'

interface Layout {
  /** Bytes of struct ipt_ip or ip6t_ip6, all zero where everything matches. */
  readonly ip: number
  /** In there: IPT_F_GOTO is no condition. */
  readonly flags: number
  readonly targetOffset: number
  readonly nextOffset: number
  readonly counters: number
  /** Where matches begin. */
  readonly head: number
}
const LAYOUTS: Readonly<Record<Family, Layout>> = {
  ipv4: { ip: 84, flags: 82, targetOffset: 88, nextOffset: 90, counters: 96, head: 112 },
  ipv6: { ip: 136, flags: 131, targetOffset: 140, nextOffset: 142, counters: 152, head: 168 },
}
const GOTO = { ipv4: 0x02, ipv6: 0x04 } as const
const COUNTER_BYTES = 16
/** Of struct xt_entry_match and xt_entry_target: u16 size, name, u8 revision; then their data. */
const PART = { name: 2, nameBytes: 29, data: 32 } as const

const ERROR_INITIAL = 0x45

/** NF_INET_* hooks of builtin chains. */
export const HOOKS = { PREROUTING: 0, INPUT: 1, FORWARD: 2, OUTPUT: 3, POSTROUTING: 4 } as const

/** Of struct ipt_getinfo: where the builtin chains begin, and where their policies are. */
export interface TableInfo {
  readonly validHooks: number
  readonly hookEntry: readonly number[]
  readonly underflow: readonly number[]
  readonly sizeBytes: number
}

/** A chain's entries: `from` up to, not including, `to`. */
interface Span {
  readonly name: string
  readonly from: number
  readonly to: number
}

/** A rule as the kernel has it. */
export interface LegacyRule {
  /** struct ipt_ip or ip6t_ip6. */
  readonly ip: Uint8Array
  /** Read when they are asked for. */
  readonly matches: readonly LegacyPart[]
  readonly target: LegacyTarget
  readonly packets: bigint
  readonly bytes: bigint
}
export type LegacyTarget =
  | LegacyPart
  /** A verdict below 0: -1 drops, -2 accepts, -4 queues, -5 returns. */
  | number
  | { readonly chain: string; readonly isGoto: boolean }
interface LegacyPart {
  readonly name: string
  readonly revision: number
  readonly info: Uint8Array
}

/** A table with what leads from chain to chain. It looks into `bytes`, which the next reading overwrites. */
export class Entries {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #layout: Layout
  readonly #family: Family
  readonly #info: TableInfo
  readonly #spans = new Map<string, Span>()
  readonly #byStart = new Map<number, string>()

  constructor(family: Family, info: TableInfo, bytes: Uint8Array) {
    this.#family = family
    this.#info = info
    this.#layout = LAYOUTS[family]
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    let open: { name: string; from: number } | undefined
    for (let at = 0; at < bytes.length;) {
      const next = this.#next(at)
      const head = this.#chainHead(at)
      if (head !== undefined) {
        if (open !== undefined) this.#add({ ...open, to: at })
        open = { name: head, from: next }
      }
      at = next
    }
    for (const [name, hook] of Object.entries(HOOKS)) {
      const [from, policy] = [info.hookEntry[hook], info.underflow[hook]]
      if ((info.validHooks & (1 << hook)) === 0 || from === undefined || policy === undefined) continue
      this.#add({ name, from, to: this.#next(policy) })
    }
  }

  #add(span: Span): void {
    this.#spans.set(span.name, span)
    this.#byStart.set(span.from, span.name)
  }

  /** Names: of the builtin chains and all others. */
  chains(): string[] {
    return [...this.#spans.keys()]
  }
  *#entries(name: string): Generator<number> {
    const span = this.#spans.get(name)
    if (span !== undefined) for (let at = span.from; at < span.to; at = this.#next(at)) yield at
  }

  #next(at: number): number {
    const length =
      at + this.#layout.head <= this.#bytes.length
        ? this.#view.getUint16(at + this.#layout.nextOffset, true)
        : 0
    if (length < this.#layout.head + PART.data || at + length > this.#bytes.length)
      throw new XtablesError(
        'unreadable',
        `the kernel's table breaks off at byte ${at}: ${this.#bytes.length} bytes`,
      )
    return at + length
  }

  /** The name of the chain that begins behind this entry. The last entry is named ERROR. */
  #chainHead(at: number): string | undefined {
    const target = this.#target(at)
    // Most targets are none, and are told from it without making text of their names.
    const isOther = this.#bytes[target + PART.name] !== ERROR_INITIAL
    return isOther || this.#name(target) !== 'ERROR' ? undefined : this.#text(target + PART.data, 32)
  }
  #target(at: number): number {
    return at + this.#view.getUint16(at + this.#layout.targetOffset, true)
  }
  #matchBytes(match: number): number {
    const bytes = this.#view.getUint16(match, true)
    if (bytes < PART.data)
      throw new XtablesError('unreadable', `a match of ${bytes} bytes in the kernel's table`)
    return bytes
  }
  #name(part: number): string {
    return this.#text(part + PART.name, PART.nameBytes)
  }
  #text(at: number, most: number): string {
    const bytes = this.#bytes.subarray(at, at + most)
    const end = bytes.indexOf(0)
    return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('latin1')
  }

  /** The chain that an entry jumps or goes to. A standard target has no name; its verdict is an offset, or below 0. */
  #leadsTo(at: number): string | undefined {
    const target = this.#target(at)
    if (this.#view.getUint8(target + PART.name) !== 0) return undefined
    const verdict = this.#view.getInt32(target + PART.data, true)
    return verdict < 0 ? undefined : this.#byStart.get(verdict)
  }

  /** The same over a copy, which the next reading doesn't overwrite. */
  kept(): Entries {
    return new Entries(this.#family, this.#info, this.#bytes.slice())
  }

  /** The rules of a chain, views; the last one of a builtin chain is its policy, of any other its return. */
  rules(name: string): LegacyRule[] {
    return [...this.#entries(name)].map((at) => this.#ruleAt(at))
  }

  #ruleAt(at: number): LegacyRule {
    const { ip, counters } = this.#layout
    const [readMatches, readTarget] = [() => this.#matches(at), () => this.#targetOf(at)]
    const view = this.#view
    return {
      ip: this.#bytes.subarray(at, at + ip),
      get matches() {
        return readMatches()
      },
      get target() {
        return readTarget()
      },
      get packets() {
        return view.getBigUint64(at + counters, true)
      },
      get bytes() {
        return view.getBigUint64(at + counters + COUNTER_BYTES / 2, true)
      },
    }
  }

  #matches(at: number): LegacyPart[] {
    const found: LegacyPart[] = []
    const target = this.#target(at)
    for (let match = at + this.#layout.head; match < target; match += this.#matchBytes(match))
      found.push(this.#part(match))
    return found
  }

  #targetOf(at: number): LegacyTarget {
    const target = this.#target(at)
    const chain = this.#leadsTo(at)
    const isGoto = ((this.#bytes[at + this.#layout.flags] ?? 0) & GOTO[this.#family]) !== 0
    if (chain !== undefined) return { chain, isGoto }
    const isStandard = this.#bytes[target + PART.name] === 0
    return isStandard ? this.#view.getInt32(target + PART.data, true) : this.#part(target)
  }

  #part(at: number): LegacyPart {
    return {
      name: this.#name(at),
      revision: this.#bytes[at + PART.name + PART.nameBytes] ?? 0,
      info: this.#bytes.subarray(at + PART.data, at + this.#matchBytes(at)),
    }
  }

  /** No address, interface or protocol, and no match but a comment. */
  #matchesAll(at: number): boolean {
    const { ip, flags, head } = this.#layout
    for (let i = 0; i < ip; i++) {
      const byte = this.#bytes[at + i] ?? 0
      if (byte !== 0 && !(i === flags && byte === GOTO[this.#family])) return false
    }
    const target = this.#target(at)
    for (let match = at + head; match < target;) {
      if (this.#name(match) !== 'comment') return false
      match += this.#matchBytes(match)
    }
    return true
  }

  /**
   * What tells whether chains are as they were, with all that they lead to whatever a packet is like: their entries
   * without counters, and names of chains for their places in the table, which move when others' chains change.
   */
  *imprint(names: readonly string[]): Generator<Uint8Array> {
    const seen = new Set(names)
    for (const name of seen) {
      yield Buffer.from(`\n${name}\n`, 'latin1')
      for (const at of this.#entries(name)) {
        const to = this.#leadsTo(at)
        yield this.#rule(at)
        if (to === undefined) continue
        yield Buffer.from(to, 'latin1')
        if (this.#matchesAll(at)) seen.add(to)
      }
    }
  }

  /** A copy of an entry without what is no part of the rule: counters, words of the kernel's and libiptc's own, padding. */
  #rule(at: number): Uint8Array {
    const { ip, targetOffset, nextOffset, counters, head } = this.#layout
    const entry = this.#bytes.slice(at, this.#next(at))
    entry.fill(0, ip, targetOffset)
    entry.fill(0, nextOffset + 2, counters + COUNTER_BYTES)
    const target = this.#target(at)
    for (let match = at + head; match < target; match += this.#matchBytes(match))
      this.#clearName(entry, match - at)
    this.#clearName(entry, target - at)
    if (this.#bytes[target + PART.name] === 0) {
      const verdict = this.#view.getInt32(target + PART.data, true)
      entry.fill(0, target - at + PART.data)
      if (verdict < 0) new DataView(entry.buffer).setInt32(target - at + PART.data, verdict, true)
    }
    return entry
  }

  /** Behind its NUL a name is whatever was in somebody's memory. */
  #clearName(entry: Uint8Array, part: number): void {
    const [from, to] = [part + PART.name, part + PART.name + PART.nameBytes]
    const end = entry.subarray(from, to).indexOf(0)
    if (end >= 0) entry.fill(0, from + end, to)
  }
}
