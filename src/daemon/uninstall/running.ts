// Whether a flanneld, heddle's or upstream's, runs in this network namespace.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** `flanneld-amd64` is how upstream releases it. */
const NAME = /^flanneld\b/

/** Process ids; this process is none of them. */
export function runningDaemons(): number[] {
  const own = readlinkSync('/proc/self/ns/net')
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return (
          NAME.test(readFileSync(`/proc/${pid}/comm`, 'utf8')) && readlinkSync(`/proc/${pid}/ns/net`) === own
        )
      } catch (error) {
        // It has ended meanwhile, or isn't ours to look at.
        if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? ''))
          return false
        throw error
      }
    })
    .map(Number)
}
