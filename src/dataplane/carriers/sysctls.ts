// Carries kernel settings: read and written under /proc/sys of the data plane's network namespace. Nothing tells of
// their changes, so an audit has to find them. Each that is set is remembered with its former value.
import { setTimeout } from 'node:timers/promises'
import type { Need, Sysctl } from '../../model/kernel.ts'
import { log } from '../../sys/log.ts'
import { loadModule } from '../../sys/modules.ts'
import { type ReadNumber, readNumber, settingName, writeSysctl } from '../../sys/sysctl.ts'
import { blocked, type Carrier, type Change, done, failed, type Hint, type Result } from '../carrier.ts'
import type { FormerSetting, FormerSettings } from '../former-settings.ts'
import { isFine } from '../kinds/sysctl.ts'
import type { Rtnetlink } from './rtnetlink.ts'

const logger = log.from('sysctls.ts')
/** So long a round waits for a module at most. */
const MODULE_MS = 500

export class SysctlCarrier implements Carrier<Sysctl> {
  readonly #session: Rtnetlink
  readonly #former: FormerSettings
  /** Wanted once, and not given up since. */
  readonly #names = new Set<string>()
  /** Asked for once each, and why each isn't there. */
  readonly #modules = new Map<string, { trouble: string | undefined }>()

  constructor(session: Rtnetlink, former: FormerSettings) {
    this.#session = session
    this.#former = former
  }

  wanted({ name }: Sysctl): void {
    this.#names.add(name)
  }

  async dump(): Promise<readonly Sysctl[]> {
    const names = new Set([
      ...this.#names,
      ...this.#former.all().flatMap((former) => this.#toPutBack(former)),
    ])
    return [...names].flatMap((name): Sysctl[] => {
      const value = this.#read(name)
      return typeof value === 'number' ? [{ kind: 'sysctl', name, value, why: '', undo: 'none' }] : []
    })
  }

  /** Not what somebody else has set since. */
  #toPutBack({ name, set, former, isLeft }: FormerSetting): string[] {
    return !isLeft && former !== set && this.#read(name) === set ? [name] : []
  }

  /** Those that need others come last. */
  async apply(changes: readonly Change<Sysctl>[]): Promise<readonly Result[]> {
    const results = new Map<Change<Sysctl>, Result>()
    const needs = (change: Change<Sysctl>) => (change.op === 'put' ? (change.want.needs?.length ?? 0) : 0)
    for (const change of changes.toSorted((a, b) => needs(a) - needs(b)))
      results.set(change, change.op === 'put' ? await this.#put(change.want) : this.#remove(change.have))
    return changes.map((change) => results.get(change) ?? done)
  }

  async #put(want: Sysctl): Promise<Result> {
    const have = this.#read(want.name) ?? (await this.#readWithModule(want))
    if (have === undefined) return this.#absent(want)
    if (typeof have === 'object') return failed(have.reason)
    if (isFine(want, have)) return done
    const lack = want.needs?.map((need) => this.#lack(need)).find((reason) => reason !== undefined)
    if (lack !== undefined) return failed(`${settingName(want.name)} stays ${have}: ${lack}`)
    const refusal = this.#write(want.name, want.value)
    if (refusal !== undefined) return failed(adviceFor(want, have, refusal))
    const now = this.#read(want.name)
    if (typeof now !== 'number' || !isFine(want, now))
      return failed(
        `${settingName(want.name)} was set to ${want.value}, and is ${typeof now === 'number' ? now : 'gone'}`,
      )
    this.#remember(want, have, now)
    const text = `${settingName(want.name)} is ${now} now, and was ${have}: ${want.why}`
    if (want.undo === 'none') logger.debug(1, text)
    else logger.info(text, { key: want.name })
    return done
  }

  /** What it was first, and what the kernel made of our value. */
  #remember({ name, undo }: Sysctl, have: number, now: number): void {
    if (undo === 'none') return
    const former = this.#former.find(name)?.former ?? have
    this.#former.note({ name, former, set: now, isLeft: undo === 'leave' })
  }

  /** Undefined where there is still no such setting. */
  async #readWithModule({ name, module }: Sysctl): Promise<ReadNumber | undefined> {
    if (module === undefined) return undefined
    return (await this.#load(module)) === undefined ? this.#read(name) : undefined
  }

  /** Why the module isn't there. What is slow to load is found there at a later try: nothing else waits for it. */
  async #load(module: string): Promise<string | undefined> {
    const asked = this.#modules.get(module)
    if (asked !== undefined) return asked.trouble
    const load: { trouble: string | undefined } = { trouble: 'modprobe has not ended yet' }
    this.#modules.set(module, load)
    const ended = loadModule(module).then((trouble) => (load.trouble = trouble))
    await Promise.race([ended, setTimeout(MODULE_MS, undefined, { ref: false })])
    return load.trouble
  }

  #absent({ name, link, module }: Sysctl): Result {
    if (link !== undefined && this.#session.indexOf(link) === undefined)
      return blocked(link, `there is no link ${link}`)
    if (module === undefined) return failed(`this kernel has no ${settingName(name)} here`)
    const reason = this.#modules.get(module)?.trouble
    return failed(
      `the module ${module} isn't loaded${reason === undefined ? '' : ` (${reason})`}, so that there is no ${settingName(name)}: on the host, modprobe ${module}; and for each boot, echo ${module} > /etc/modules-load.d/${module}.conf`,
    )
  }

  #lack(need: Need): string | undefined {
    const value = this.#read(need.name)
    if (typeof value !== 'number') return undefined
    const isMet = 'not' in need ? value !== need.not : value >= need.least
    return isMet ? undefined : need.else
  }

  /** Its former value again, where it is still as we have set it. */
  #remove({ name }: Sysctl): Result {
    const former = this.#former.find(name)
    if (former !== undefined && this.#toPutBack(former).length > 0) {
      const refusal = this.#write(name, former.former)
      if (refusal !== undefined)
        return failed(
          `${settingName(name)} was ${former.former} before, and can't be put back (${refusal}): sysctl -w ${settingName(name)}=${former.former}`,
        )
      logger.info(`${settingName(name)} is ${former.former} again`, { key: name })
    }
    if (former?.isLeft !== true) this.#former.forget(name)
    this.#names.delete(name)
    return done
  }

  #read(name: string): ReadNumber | undefined {
    return readNumber(name, this.#session.namespace)
  }

  /** Why not, in the kernel's words. */
  #write(name: string, value: number): string | undefined {
    try {
      writeSysctl(name, value, this.#session.namespace)
      return undefined
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
      if (code === undefined) throw error
      return REFUSALS[code] ?? code
    }
  }

  attend(link: string): void {
    this.#session.attend(link)
  }
  /** Nobody tells of a changed setting. */
  ready(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false)
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve(false), { once: true }))
  }
  heard(): readonly Hint<Sysctl>[] {
    return []
  }
}

const VALUE_REFUSED = 'the kernel refuses the value'
const REFUSALS: Readonly<Record<string, string>> = {
  EROFS: 'read-only file system',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EINVAL: VALUE_REFUSED,
}

/** What it is, what it should be, and what to type. */
function adviceFor({ name, value, fine, why }: Sysctl, have: number, refusal: string): string {
  const shown = settingName(name)
  const wanted = fine === 'greater' ? `${value} at least` : `${value}`
  if (refusal === VALUE_REFUSED) return `${shown} stays ${have}: ${refusal} ${value} (${why})`
  return `${shown} is ${have}, should be ${wanted} (${why}), and can't be written (${refusal}): on the host, sysctl -w ${shown}=${value}; and for each boot, echo '${shown} = ${value}' >> /etc/sysctl.d/90-heddle.conf`
}
