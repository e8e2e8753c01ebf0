// Executes another plugin as the CNI library does: config on stdin, our environment, its errors passed on.
import { spawnSync } from 'node:child_process'
import type { Call, Command } from './call.ts'
import { Code, CniError } from './error.ts'
import { formatSorted, parseObject, type JsonObject } from './json.ts'
import type { CniVersion } from './versions.ts'

/** What it printed. Throws CniError: with the plugin's own code, if it told one. */
export function execPlugin(path: string, call: Call, command: Command, config: JsonObject): string {
  const { stdout, status, signal, error } = spawnSync(path, [], {
    input: formatSorted(config),
    env: {
      ...process.env,
      CNI_COMMAND: command,
      CNI_CONTAINERID: call.containerId,
      CNI_NETNS: call.netns,
      CNI_IFNAME: call.ifname,
      CNI_PATH: call.path.join(':'),
    },
    stdio: ['pipe', 'pipe', 'inherit'],
    maxBuffer: 16 << 20,
    encoding: 'utf8',
  })
  if (error !== undefined) throw new CniError(Code.internal, `${path}: ${error.message}`, '', error)
  if (status === 0) return stdout
  const { code, msg, details } = parseObject(stdout) ?? {}
  if (typeof code === 'number' && typeof msg === 'string')
    throw new CniError(code, msg, typeof details === 'string' ? details : '')
  const end = signal === null ? `ended with ${status}` : `was killed by ${signal}`
  throw new CniError(Code.internal, `netplugin failed: ${path} ${end}`, stdout.trim())
}

/** Whether a plugin knows a version, and so its commands; the answer of one that can't tell is no. */
export function speaks(path: string, version: CniVersion): boolean {
  const { stdout } = spawnSync(path, [], {
    input: JSON.stringify({ cniVersion: version }),
    env: { ...process.env, CNI_COMMAND: 'VERSION' },
    stdio: ['pipe', 'pipe', 'ignore'],
    encoding: 'utf8',
  })
  const versions = parseObject(stdout)?.['supportedVersions']
  return Array.isArray(versions) && versions.includes(version)
}
