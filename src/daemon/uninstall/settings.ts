// Kernel settings at an uninstall: those of flanneld's that are still as it set them are put back; what others may rely
// on by then is named.
import { existsSync } from 'node:fs'
import type { FormerSettings } from '../../dataplane/former-settings.ts'
import type { Drift } from '../../dataplane/report.ts'
import { readNumber, settingName } from '../../sys/sysctl.ts'
import { settingsRecordPath, type SettingsRecord } from '../host/settings-record.ts'
import { removeFile } from './files.ts'
import { item, type Part } from './item.ts'

/** What is put back. `key` as in Reconciler.failures. */
export const settingsIn = (
  drift: readonly Drift[],
  former: FormerSettings,
): { what: string; key: string }[] =>
  drift
    .filter(({ kind, what }) => kind === 'sysctl' && what === 'unwanted')
    .map(({ key }) => {
      const setting = former.find(key)
      return {
        what: `flanneld's value of sysctl ${settingName(key)}, ${setting?.set}: it is ${setting?.former} again`,
        key: `sysctl ${key}`,
      }
    })

/** What is said of the others; and the record itself, once it has served. */
export function settingsPart(former: SettingsRecord, stateDir: string): Part {
  const path = settingsRecordPath(stateDir)
  if (!existsSync(path)) return { items: [], left: [] }
  const what = former.isAlone ? `file ${path}` : `what ${path} has of this network namespace`
  const remove = () => {
    former.clear()
    if (!existsSync(path)) removeFile(path, stateDir)
  }
  return { items: [item(what, remove)], left: leftSettings(former) }
}

const leftSettings = (former: Pick<FormerSettings, 'all'>): string[] =>
  former.all().flatMap(({ name, former: was, set, isLeft }) => {
    if (!isLeft || readNumber(name) !== set) return []
    const shown = settingName(name)
    return [
      `sysctl ${shown}: it is ${set}, and was ${was} before flanneld set it; others may need it as it is by now (sysctl -w ${shown}=${was})`,
    ]
  })
