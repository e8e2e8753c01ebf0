// Which network namespaces are bound below a directory, as the kernel tells it: true whatever became of the `up`
// that bound them.
import { readFileSync } from 'node:fs'

export interface BoundNamespace {
  readonly path: string
  /** As in /proc/PID/ns: `net:[4026532177]`. */
  readonly namespace: string
}

/** As `pid` sees it; none if it is gone. */
export function boundNamespaces(directory: string, pid: number | 'self' = 'self'): BoundNamespace[] {
  try {
    return parseMounts(readFileSync(`/proc/${pid}/mountinfo`, 'utf8')).filter((bound) =>
      bound.path.startsWith(`${directory}/`),
    )
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (pid !== 'self' && (code === 'ENOENT' || code === 'ESRCH')) return []
    throw error
  }
}

/** proc_pid_mountinfo(5): fields 4 and 5 are root and mount point, blanks in octal. */
export function parseMounts(mountinfo: string): BoundNamespace[] {
  const found: BoundNamespace[] = []
  for (const line of mountinfo.split('\n')) {
    const [, , , root, point] = line.split(' ')
    if (root?.startsWith('net:[') && point !== undefined)
      found.push({ path: unescape(point.replace(/\/\/deleted$/, '')), namespace: root })
  }
  return found
}

const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))
