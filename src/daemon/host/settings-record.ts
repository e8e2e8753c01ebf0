// What kernel settings of this host were before flanneld set them, in a file below --state-dir: what an uninstall puts
// back. Good for one boot and one network namespace each. A convenience: no trouble with the file is more than a warning.
import { readFileSync, readlinkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import type { FormerSetting, FormerSettings } from '../../dataplane/former-settings.ts'
import { writeFileAtomically } from '../../sys/files.ts'
import { log } from '../../sys/log.ts'

const logger = log.from('settings-record.ts')

const schema = v.object({
  format: v.literal(1),
  /** After another boot the kernel's settings are others. */
  boot: v.string(),
  settings: v.array(
    v.object({
      /** As /proc/self/ns/net reads. */
      namespace: v.string(),
      name: v.string(),
      former: v.number(),
      set: v.number(),
      isLeft: v.boolean(),
    }),
  ),
})
type Entry = v.InferOutput<typeof schema>['settings'][number]

export const settingsRecordPath = (stateDir: string): string => join(stateDir, 'sysctls.json')

/** Those of this thread's network namespace. Others of the same file, of other flannelds, are kept. */
export class SettingsRecord implements FormerSettings {
  readonly #path: string
  readonly #namespace = readlinkSync('/proc/thread-self/ns/net')
  readonly #boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  readonly #own: Map<string, FormerSetting>
  #isTold = false

  constructor(stateDir: string) {
    this.#path = settingsRecordPath(stateDir)
    this.#own = new Map(
      this.#load()
        .filter(({ namespace }) => namespace === this.#namespace)
        .map(({ name, former, set, isLeft }) => [name, { name, former, set, isLeft }]),
    )
  }

  /** Whether the file has nobody else's. */
  get isAlone(): boolean {
    return this.#load().every(({ namespace }) => namespace === this.#namespace)
  }

  all(): readonly FormerSetting[] {
    return [...this.#own.values()]
  }
  find(name: string): FormerSetting | undefined {
    return this.#own.get(name)
  }
  note(setting: FormerSetting): void {
    const known = this.#own.get(setting.name)
    if (known?.former === setting.former && known.set === setting.set && known.isLeft === setting.isLeft)
      return
    this.#own.set(setting.name, setting)
    this.#save()
  }
  forget(name: string): void {
    if (this.#own.delete(name)) this.#save()
  }
  /** All of this namespace. */
  clear(): void {
    this.#own.clear()
    this.#save()
  }

  #save(): void {
    const settings = [
      ...this.#load().filter(({ namespace }) => namespace !== this.#namespace),
      ...this.all().map((setting) => ({ namespace: this.#namespace, ...setting })),
    ]
    try {
      if (settings.length === 0) rmSync(this.#path, { force: true })
      else
        writeFileAtomically(
          this.#path,
          `${JSON.stringify({ format: 1, boot: this.#boot, settings }, undefined, 2)}\n`,
          0o600,
        )
    } catch (error) {
      this.#warn(
        `can't record what sysctls were before: ${messageOf(error)}; an uninstall will leave them as they are`,
      )
    }
  }

  #load(): readonly Entry[] {
    try {
      const parsed = v.safeParse(schema, JSON.parse(readFileSync(this.#path, 'utf8')))
      if (parsed.success) return parsed.output.boot === this.#boot ? parsed.output.settings : []
      this.#warn(`${this.#path} is ignored: it holds no record of sysctls`)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code !== 'ENOENT' && code !== 'ENOTDIR') this.#warn(`${this.#path} is ignored: ${messageOf(error)}`)
    }
    return []
  }

  /** The first trouble of this run; more of them would be the same. */
  #warn(text: string): void {
    if (!this.#isTold) logger.warning(text)
    this.#isTold = true
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
