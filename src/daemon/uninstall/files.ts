// The files' part of an uninstall: what flanneld has written. Logs, the embedded store's data and whatever has another
// name stay.
import { lstatSync, readdirSync, rmdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { lockPath } from '../instance-lock.ts'
import { readRecord, recordFiles } from '../lease-record.ts'
import type { Options } from '../options.ts'
import { item, type Part } from './item.ts'

/** `heddle store`'s --data-dir. */
const STORE_DATA = '/var/lib/heddle/store'

/** What flanneld with these options has written, leftovers of a crash too; the lock comes last. */
export function filesPart(options: Options): Part {
  const { 'subnet-file': subnetFile, 'status-socket': socket, 'state-dir': stateDir } = options
  const records = recordFiles(stateDir).map((path) => ({ path, record: readRecord(path) }))
  const isOurs = ({ record }: (typeof records)[number]) =>
    typeof record === 'object' && record.subnetFile === subnetFile && record.prefix === options['etcd-prefix']
  const files = [
    subnetFile,
    ...temporaryOf(subnetFile),
    ...(socket === '' ? [] : [socket]),
    ...records.filter(isOurs).flatMap(({ path }) => [path, ...temporaryOf(path)]),
    lockPath(subnetFile),
  ]
  const there = files.filter(exists)
  const folders = new Set([stateDir, ...[subnetFile, socket].map(dirname).filter(isOwnFolder)])
  return {
    items: [
      ...there.map((path) => item(`file ${path}`, () => removeFile(path, stateDir))),
      // A file's own goes with it.
      ...[...folders].filter(isEmptyFolder).map((path) => item(`folder ${path}`, () => removeFolder(path))),
    ],
    left: [
      ...records
        .filter((each) => !isOurs(each))
        .map(({ path, record }) =>
          typeof record === 'object'
            ? `file ${path}: the lease ${record.key} of a flanneld with another --subnet-file or --etcd-prefix`
            : `file ${path}: no record of this flanneld's lease`,
        ),
      ...[STORE_DATA]
        .filter(exists)
        .map((path) => `${path}: the data of heddle's store, which other hosts may need`),
      ...[options['log-dir']]
        .filter((path) => path !== '' && exists(path))
        .map((path) => `${path}: log files`),
    ],
  }
}

/** Removes it, and its folder where that is flannel's, heddle's or a CNI network's own and empty by now. */
export function removeFile(path: string, stateDir?: string): void {
  rmSync(path, { force: true })
  const folder = dirname(path)
  if (folder === stateDir || isOwnFolder(folder) || basename(dirname(folder)) === 'networks')
    removeFolder(folder)
}

/** By its name: /run/flannel, /run/heddle. */
const isOwnFolder = (path: string): boolean => ['flannel', 'heddle'].includes(basename(path))

const isEmptyFolder = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true && entries(path).length === 0

/** If it is empty. */
function removeFolder(path: string): void {
  try {
    rmdirSync(path)
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT', 'EBUSY'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw error
  }
}

/** Of writeFileAtomically, whose process was killed before it was done. */
function temporaryOf(path: string): string[] {
  const [folder, name] = [dirname(path), basename(path)]
  return entries(folder)
    .filter((entry) => entry.startsWith(`.${name}.`) && /\.\d+-[\da-f]{12}\.tmp$/.test(entry))
    .map((entry) => join(folder, entry))
}

export function entries(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw error
  }
}

/** A symbolic link is what it is, wherever it leads. */
const exists = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined
