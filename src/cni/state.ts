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

/** The process that writes it is named in it. */
const TEMPORARY = /\.(\d+)\.tmp$/

/** What writers that were killed half-way left; that of one who lives is left to him. */
export function removeTorn(dataDir: string): void {
  for (const file of statOfEach(dataDir).keys()) {
    const [, pid] = TEMPORARY.exec(file) ?? []
    if (pid !== undefined && !isThere(Number(pid))) rmSync(join(dataDir, file), { force: true })
  }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return !isErrno(error, 'ESRCH')
  }
}

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

interface KeptState {
  readonly file: string
  /**
   * Of whom it is, as its name tells: one of two where that can't be known. Upstream's has no interface in it: runtimes
   * call the first one eth0.
   */
  readonly attachments: readonly Attachment[]
  readonly text: string
}

/** All state in the directory, one for each attachment; under upstream's name only what upstream wrote. */
export function listStates(dataDir: string): readonly KeptState[] {
  const files = statOfEach(dataDir)
  for (const file of files.keys()) if (TEMPORARY.test(file)) files.delete(file)
  return [...files].flatMap(([file, stat]) => {
    const isLink =
      stat.nlink > 1 &&
      [...files].some(([own, other]) => own !== file && own.startsWith(`${file}-`) && other.ino === stat.ino)
    const text = isLink ? undefined : read(join(dataDir, file))
    return text === undefined ? [] : [{ file, attachments: attachmentsOf(dataDir, file, files), text }]
  })
}

/**
 * A container's id may have a dash in it too. What is behind the last one is an interface where this plugin wrote the
 * file: then the id before it has a name for upstream. Without that it may be
 * either's, and a DEL of what isn't there does nothing.
 */
function attachmentsOf(dataDir: string, file: string, files: ReadonlyMap<string, Stats>): Attachment[] {
  const [, containerId, ifname] = /^(.+)-([^-]{1,15})$/.exec(file) ?? []
  const upstreams = { dataDir, containerId: file, ifname: 'eth0' }
  if (containerId === undefined || ifname === undefined) return [upstreams]
  const own = { dataDir, containerId, ifname }
  return files.get(file)?.nlink !== 1 || files.has(containerId) ? [own] : [own, upstreams]
}

function statOfEach(dataDir: string): Map<string, Stats> {
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
