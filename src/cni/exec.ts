// Executes another plugin as the CNI library does: config on stdin, our environment, its errors passed on.
import { spawnSync } from 'node:child_process'
import type { Call } from './call.ts'
import { Code, CniError } from './error.ts'
import { formatSorted, parseObject, type JsonObject } from './json.ts'

/** What it printed. Throws CniError: with the plugin's own code, if it told one. */
export function execPlugin(path: string, call: Call, command: 'ADD' | 'DEL', config: JsonObject): string {
  const { stdout, status, signal, error } = spawnSync(path, [], {
    input: formatSorted(config),
    env: { ...process.env, CNI_COMMAND: command, CNI_PATH: call.path.join(':') },
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
