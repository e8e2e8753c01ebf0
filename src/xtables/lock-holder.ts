// Who holds the lock that all legacy iptables of a host share: for people to see why rules are late.
import { readFileSync, statSync } from 'node:fs'

/** Where iptables has it unless told otherwise (xshared.h); its own variable tells it otherwise since 1.8.3. */
export const lockFilePath = (): string => process.env['XTABLES_LOCKFILE'] ?? '/run/xtables.lock'

/** `process 1234 (kube-proxy)`; undefined where nobody holds it, or nobody that this process can see. */
export function lockHolder(path = lockFilePath()): string | undefined {
  const inode = statSync(path, { throwIfNoEntry: false })?.ino
  if (inode === undefined) return undefined
  // proc_locks(5): `1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF`; who waits has `->` behind the colon.
  for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
    const [, kind, , , pid = '', file = ''] = line.split(/\s+/)
    if (kind === 'FLOCK' && file.endsWith(`:${inode}`)) return `process ${pid}${nameOf(pid)}`
  }
  return undefined
}

function nameOf(pid: string): string {
  try {
    return ` (${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()})`
  } catch {
    // It has ended meanwhile, or runs in another PID namespace.
    return ''
  }
}
