// firewall-cmd: asks the firewalld that runs on this host, and tells it something.
import { execFile } from 'node:child_process'
import { parseZones } from './zones.ts'
import type { FirewalldState } from './plan.ts'

/** A firewalld that is reloading answers late. */
const ANSWER_MS = 30_000

export class FirewalldError extends Error {
  override readonly name = 'FirewalldError'
  /** `absent`: no firewall-cmd here; `silent`: it reaches no firewalld; `refused`: it was told no. */
  readonly code: 'absent' | 'silent' | 'refused'

  constructor(code: FirewalldError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Exit code of firewall-cmd where no firewalld runs (firewall-cmd(1)), and where it may not be asked. */
const NOT_RUNNING = 252

/** What it printed. Throws FirewalldError. */
export function firewallCommand(args: readonly string[], signal?: AbortSignal): Promise<string> {
  const text = `firewall-cmd ${args.join(' ')}`
  return new Promise((resolve, reject) => {
    execFile(
      'firewall-cmd',
      args,
      {
        encoding: 'utf8',
        timeout: ANSWER_MS,
        maxBuffer: 16 << 20,
        env: { ...process.env, LC_ALL: 'C' },
        ...(signal && { signal }),
      },
      (error, stdout, stderr) => {
        if (error === null) {
          resolve(stdout)
          return
        }
        const { code } = error
        if (String(code) === 'ENOENT')
          reject(new FirewalldError('absent', 'there is no firewall-cmd here', { cause: error }))
        else {
          const why = stderr.trim() || stdout.trim() || error.message
          reject(
            new FirewalldError(code === NOT_RUNNING ? 'silent' : 'refused', `${text}: ${why}`, {
              cause: error,
            }),
          )
        }
      },
    )
  })
}

/** Throws FirewalldError. */
export async function readFirewalld(signal?: AbortSignal): Promise<FirewalldState> {
  const defaultZone = (await firewallCommand(['--get-default-zone'], signal)).trim()
  const runtime = parseZones(await firewallCommand(['--list-all-zones'], signal))
  const permanent = parseZones(await firewallCommand(['--permanent', '--list-all-zones'], signal))
  return { defaultZone, runtime, permanent }
}
