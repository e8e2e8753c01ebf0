// Who holds the lock that all legacy iptables of a host share: why rules are late, and whether to wait for them.
import { readFileSync, statSync } from 'node:fs'

/** Where iptables has it unless told otherwise (xshared.h); its own variable tells it otherwise since 1.8.3. */
export const lockFilePath = (): string => process.env['XTABLES_LOCKFILE'] ?? '/run/xtables.lock'

/**
 * `process 1234 (kube-proxy)`; undefined where nobody holds it but iptables that this process runs, or nobody that can be
 * seen from this PID namespace.
 */
export function lockHolder(path = lockFilePath()): string | undefined {
  const inode = statSync(path, { throwIfNoEntry: false })?.ino
  if (inode === undefined) return undefined
  // proc_locks(5): `1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF`; who waits has `->` behind the colon.
  for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
    const [, kind, , , pid = '', file = ''] = line.split(/\s+/)
    if (kind !== 'FLOCK' || !file.endsWith(`:${inode}`)) continue
    const { name, parent } = processOf(pid)
    if (parent !== process.pid) return `process ${pid}${name}`
  }
  return undefined
}

/** Its name in parentheses and its parent, of proc_pid_stat(5): `1234 (kube-proxy) S 1 …`. */
function processOf(pid: string): { name: string; parent: number | undefined } {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const end = stat.lastIndexOf(')')
    return {
      name: ` ${stat.slice(stat.indexOf('('), end + 1)}`,
      parent: Number(stat.slice(end + 2).split(' ')[1]),
    }
  } catch {
    // It has ended meanwhile.
    return { name: '', parent: undefined }
  }
}
