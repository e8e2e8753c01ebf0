// Accommodates a firewalld that runs on this host: tells it what pods need when it is met first, when that changes, and
// when it stands in their way. What it was told is recorded below --state-dir, for the uninstall. A firewalld that
// doesn't run is never changed.
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { firewallCommand, FirewalldError, readFirewalld } from '../../firewall/firewalld/command.ts'
import {
  bindingText,
  commandsOf,
  planFirewalld,
  type Binding,
  type FirewalldWish,
} from '../../firewall/firewalld/plan.ts'
import { writeFileAtomically } from '../../sys/files.ts'
import { log } from '../../sys/log.ts'
import type { Look } from './look.ts'

const logger = log.from('firewalld.ts')

const schema = v.object({
  format: v.literal(1),
  bindings: v.array(v.object({ zone: v.string(), kind: v.picklist(['source', 'port']), value: v.string() })),
})

export const firewalldRecordPath = (stateDir: string): string => join(stateDir, 'firewalld.json')

/** What flanneld has told firewalld here. Throws where the record can't be read. */
export function readFirewalldRecord(stateDir: string): readonly Binding[] {
  let text: string
  try {
    text = readFileSync(firewalldRecordPath(stateDir), 'utf8')
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw error
  }
  return v.parse(schema, JSON.parse(text)).bindings
}

const AGAIN_MS = 60_000
const MOST_IN_VAIN = 3

/** Of /status. */
export interface FirewalldReport {
  readonly accommodated: boolean
  readonly why?: string | undefined
  readonly notes?: readonly string[]
}

export class FirewalldKeeper {
  readonly #stateDir: string
  readonly #isOn: boolean
  /** What it was told for, once that worked. */
  #settled: string | undefined
  /** What telling it was in vain for: tried again when something else is wanted, it was away, or a minute later. */
  #failed: { readonly key: string; readonly atMs: number } | undefined
  /** How often in a row it was told, and stood in the way all the same. */
  #inVain = 0
  #isHere = false
  #trouble: string | undefined
  #notes: readonly string[] = []

  constructor(stateDir: string, isOn: boolean) {
    this.#stateDir = stateDir
    this.#isOn = isOn
  }

  /** Undefined where none runs. */
  report(): FirewalldReport | undefined {
    if (!this.#isHere) return undefined
    if (!this.#isOn) return { accommodated: false, why: '--firewalld=off' }
    const why = this.#trouble
    return { accommodated: this.#settled !== undefined && why === undefined, why, notes: this.#notes }
  }

  /** Whether it was told something, so that what is in the way may be another now. Trouble is logged. */
  async attend(
    { hasFirewalld, walls }: Look,
    { networks, tunnelPorts, underlay }: FirewalldWish,
    signal: AbortSignal,
  ): Promise<boolean> {
    const wasHere = this.#isHere
    this.#isHere = hasFirewalld
    if (!hasFirewalld) return false
    if (!this.#isOn) {
      if (!wasHere) this.#tellLeft()
      return false
    }
    const wish: FirewalldWish = { networks, tunnelPorts, underlay }
    const key = JSON.stringify(wish)
    // What drops while it reloads is no rule of its zones.
    const isInTheWay = walls.some(
      ({ owner, certainty, where }) =>
        owner === 'firewalld' && certainty === 'drops' && !where.includes('firewalld_policy_drop'),
    )
    if (!isInTheWay) this.#inVain = 0
    const hasFailed = this.#failed?.key === key && performance.now() - this.#failed.atMs < AGAIN_MS
    if (wasHere && hasFailed) return false
    if (this.#settled === key && !isInTheWay) return false
    try {
      const hasChanged = await this.#accommodate(wish, signal)
      this.#settled = key
      this.#failed = undefined
      this.#trouble = undefined
      // By something that isn't ours to change, which the log names.
      if (isInTheWay && (!hasChanged || ++this.#inVain > MOST_IN_VAIN)) this.#fail(key)
      return hasChanged
    } catch (error) {
      if (signal.aborted || !(error instanceof FirewalldError)) throw error
      this.#fail(key)
      this.#trouble = error.message
      logger.warning(`firewalld runs here and isn't told what pods need: ${error.message}; ${byHand(wish)}`, {
        about: 'firewalld',
      })
      return false
    }
  }

  /** What it was told before `--firewalld=off` is its own now. */
  #tellLeft(): void {
    const left = this.#record()
    if (left.length === 0) return
    const commands = left.map(
      ({ zone, kind, value }) => `firewall-cmd --permanent --zone=${zone} --remove-${kind}=${value}`,
    )
    logger.warning(
      `--firewalld=off: firewalld keeps what it was told before, ${left.map(bindingText).join(', ')}; to take it back: ${[...commands, 'firewall-cmd --reload'].join('; ')}`,
      { about: 'left' },
    )
  }

  #fail(key: string): void {
    this.#failed = { key, atMs: performance.now() }
  }

  async #accommodate(wish: FirewalldWish, signal: AbortSignal): Promise<boolean> {
    const made = this.#record()
    const plan = planFirewalld(await readFirewalld(signal), wish, made)
    this.#notes = plan.notes
    for (const note of plan.notes) logger.warning(note, { key: note })
    // Before it is told: what is recorded and isn't there harms nothing.
    this.#save([...made, ...plan.ours])
    for (const args of commandsOf(plan.steps)) await firewallCommand(args, signal)
    this.#save(plan.ours)
    if (plan.steps.length > 0) {
      const told = (op: 'add' | 'remove') =>
        [...new Set(plan.steps.filter((s) => s.op === op).map(({ binding }) => bindingText(binding)))].join(
          ', ',
        )
      const [added, removed] = [told('add'), told('remove')]
      logger.info(
        `firewalld was told to let pods through${added === '' ? '' : `: ${added}`}${removed === '' ? '' : `; no longer: ${removed}`}`,
      )
    }
    return plan.steps.length > 0
  }

  #record(): readonly Binding[] {
    try {
      return readFirewalldRecord(this.#stateDir)
    } catch (error) {
      logger.warning(`${firewalldRecordPath(this.#stateDir)} is ignored: ${String(error)}`)
      return []
    }
  }

  #save(bindings: readonly Binding[]): void {
    const path = firewalldRecordPath(this.#stateDir)
    try {
      if (bindings.length === 0) rmSync(path, { force: true })
      else writeFileAtomically(path, `${JSON.stringify({ format: 1, bindings }, undefined, 2)}\n`, 0o600)
    } catch (error) {
      logger.warning(
        `can't record what firewalld is told (${String(error)}): an uninstall will leave it as it is`,
        { about: 'record' },
      )
    }
  }
}

const byHand = ({ networks, tunnelPorts, underlay }: FirewalldWish): string => {
  const sources = networks.map((network) => `--add-source=${network}`).join(' ')
  const ports = tunnelPorts.map((port) => `--add-port=${port}/udp`).join(' ')
  const lines = [
    `firewall-cmd --permanent --zone=trusted ${sources}`,
    ...(ports === '' ? [] : [`firewall-cmd --permanent --zone=ZONE-OF-${underlay} ${ports}`]),
    'firewall-cmd --reload',
  ]
  return `type on the host: ${lines.join('; ')}`
}
