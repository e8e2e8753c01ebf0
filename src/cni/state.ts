// What an ADD leaves behind for its DEL: the delegate's configuration (flannel-compat 7.4), one file an attachment,
// `<dataDir>/<containerID>-<ifname>`, and under upstream's name `<containerID>` a link to the first of them, so that
// upstream's plugin can undo what this one did. Files that upstream wrote are read too.
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  type Stats,
} from 'node:fs'
import { join } from 'node:path'

export interface Attachment {
  readonly dataDir: string
  readonly containerId: string
  readonly ifname: string
}

const ownPath = (a: Attachment): string => join(a.dataDir, `${a.containerId}-${a.ifname}`)
const upstreamPath = (a: Attachment): string => join(a.dataDir, a.containerId)

/** The text as it was written; undefined if there is none. */
export const readState = (a: Attachment): string | undefined =>
  ownState(a) ?? (upstreamName(a) === 'foreign' ? read(upstreamPath(a)) : undefined)

/** What this plugin wrote itself. */
export const ownState = (a: Attachment): string | undefined => read(ownPath(a))

/** Whole or not there; not flushed to disk: after a power failure the pod is gone as well. */
export function writeState(a: Attachment, text: string): void {
  mkdirSync(a.dataDir, { recursive: true, mode: 0o700 })
  const temporary = `${ownPath(a)}.${process.pid}.tmp`
  try {
    writeFileSync(temporary, text, { mode: 0o600 })
    if (upstreamName(a) === 'ours') rmSync(upstreamPath(a), { force: true })
    renameSync(temporary, ownPath(a))
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  try {
    linkSync(ownPath(a), upstreamPath(a))
  } catch (error) {
    // Another interface's, or a file system without links: the name for upstream is a courtesy.
    if (!isErrno(error, 'EEXIST', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK')) throw error
  }
}

/** Removes it under both names, and leaves those of the container's other interfaces. */
export function removeState(a: Attachment): void {
  const name = upstreamName(a)
  if (name === 'ours' || (name === 'foreign' && !existsSync(ownPath(a))))
    rmSync(upstreamPath(a), { force: true })
  rmSync(ownPath(a), { force: true })
}

export interface KeptState {
  readonly file: string
  /** Of whom it is, as its name tells. Upstream's has no interface in it: runtimes call the first one eth0. */
  readonly attachment: Attachment
  readonly text: string
}

/** All state in the directory, one for each attachment; under upstream's name only what upstream wrote. */
export function listStates(dataDir: string): readonly KeptState[] {
  const files = statOfEach(dataDir)
  return [...files].flatMap(([file, stat]) => {
    const [, containerId, ifname] = /^(.+)-([^-]{1,15})$/.exec(file) ?? []
    const isLink =
      stat.nlink > 1 &&
      [...files].some(([own, other]) => own !== file && own.startsWith(`${file}-`) && other.ino === stat.ino)
    const text = isLink ? undefined : read(join(dataDir, file))
    if (text === undefined) return []
    const attachment =
      containerId === undefined || ifname === undefined
        ? { dataDir, containerId: file, ifname: 'eth0' }
        : { dataDir, containerId, ifname }
    return [{ file, attachment, text }]
  })
}

function statOfEach(dataDir: string): ReadonlyMap<string, Stats> {
  const stats = new Map<string, Stats>()
  for (const file of existsSync(dataDir) ? readdirSync(dataDir).sort() : []) {
    const stat = statSync(join(dataDir, file), { throwIfNoEntry: false })
    if (stat?.isFile() === true) stats.set(file, stat)
  }
  return stats
}

/** What is under upstream's name: this attachment's state, another one's of this container, or upstream's own file. */
function upstreamName(a: Attachment): 'ours' | 'another' | 'foreign' | undefined {
  const upstream = statSync(upstreamPath(a), { throwIfNoEntry: false })
  if (upstream === undefined) return undefined
  if (upstream.nlink === 1) return 'foreign'
  return statSync(ownPath(a), { throwIfNoEntry: false })?.ino === upstream.ino ? 'ours' : 'another'
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}

const isErrno = (error: unknown, ...codes: readonly string[]): boolean =>
  codes.includes((error as NodeJS.ErrnoException).code ?? '')
