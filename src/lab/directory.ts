// The directory of one lab: where its state, logs and namespace names are, and who may work on it.
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { writeFileAtomically } from '../sys/files.ts'
import { LabError } from './error.ts'
import type { LabParameters } from './plan.ts'
import { isAlive, ownRecord, type ProcessRecord } from './process.ts'

/** The first file of a lab to come and the last to go: says that the directory is a lab's. */
export interface LabRecord {
  readonly format: 1
  /** Random; every process of the lab carries it in its environment. */
  readonly id: string
  readonly parameters: LabParameters
  /** The directory itself is ours too, and goes with the lab. */
  readonly madeDirectory: boolean
  /** Where root's lab has bound the names of its namespaces: `mnt:[4026531841]`. */
  readonly mountNamespace: string
  /** An `up` came to its end: an interrupted one removes the lab only before. */
  readonly complete: boolean
}

const RECORD = 'lab.json'
/** A UNIX socket's path has at most 107 bytes, and `/hosts/h100/flanneld.sock` comes behind. */
const LONGEST_PATH = 80

export class LabDirectory {
  readonly path: string
  constructor(path: string) {
    this.path = path
  }

  namespace(name: string): string {
    return join(this.path, 'net', name)
  }
  get namespaces(): string {
    return join(this.path, 'net')
  }
  log(name: string): string {
    return join(this.path, 'log', `${name}.log`)
  }
  /** State of a host: subnet.env, status socket, what its CNI plugin keeps. */
  host(name: string, ...rest: string[]): string {
    return join(this.path, 'hosts', name, ...rest)
  }
  get store(): string {
    return join(this.path, 'store')
  }
  get relaySocket(): string {
    return join(this.path, 'etcd.sock')
  }

  record(): LabRecord | undefined {
    const text = this.#recordText()
    return text === undefined ? undefined : (JSON.parse(text) as LabRecord)
  }

  #recordText(): string | undefined {
    try {
      return readIfThere(join(this.path, RECORD))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES')
        throw new LabError('refused', `the lab in ${this.path} is another user's`, { cause: error })
      throw error
    }
  }

  writeRecord(record: LabRecord): void {
    this.#write(RECORD, record)
  }

  /** The process last started under this name, dead or alive. */
  process(name: string): ProcessRecord | undefined {
    const text = readIfThere(join(this.path, 'run', `${name}.json`))
    return text === undefined ? undefined : (JSON.parse(text) as ProcessRecord)
  }

  writeProcess(name: string, record: ProcessRecord): void {
    this.#write(join('run', `${name}.json`), record)
  }

  #write(name: string, value: object): void {
    writeFileAtomically(join(this.path, name), `${JSON.stringify(value)}\n`, 0o600)
  }

  /** Makes the directory of a new lab. Refuses one that holds anything else. */
  create(id: string, parameters: LabParameters, mountNamespace: string): LabRecord {
    if (Buffer.byteLength(this.path) > LONGEST_PATH)
      throw new LabError(
        'usage',
        `--dir ${this.path}: sockets in it would get too long a name; want one of ${LONGEST_PATH} bytes or less`,
      )
    const madeDirectory = makeDirectory(this.path)
    const owner = statSync(this.path)
    if (!owner.isDirectory()) throw new LabError('usage', `--dir ${this.path} is not a directory`)
    if (owner.uid !== process.geteuid?.())
      throw new LabError(
        'usage',
        `--dir ${this.path} belongs to another user (uid ${owner.uid}); choose another`,
      )
    const foreign = readdirSync(this.path).find((name) => !isOurTemporary(name))
    if (foreign !== undefined)
      throw new LabError('usage', `--dir ${this.path} holds ${foreign}: a lab wants a directory of its own`)
    const record: LabRecord = { format: 1, id, parameters, madeDirectory, mountNamespace, complete: false }
    this.writeRecord(record)
    for (const name of ['net', 'log', 'run', 'hosts']) mkdirSync(join(this.path, name), { recursive: true })
    return record
  }

  /** Removes the files of the lab; false if there were none. Namespaces must be unmounted before. */
  remove(): boolean {
    const record = this.record()
    if (record === undefined && !this.#isLeftover()) return false
    for (const name of readdirSync(this.path))
      if (name !== RECORD) rmSync(join(this.path, name), { recursive: true, force: true })
    rmSync(join(this.path, RECORD), { force: true })
    if (record?.madeDirectory !== false) rmdirSync(this.path)
    return true
  }

  /** What an `up` leaves that was killed before it could write its record. */
  #isLeftover(): boolean {
    return existsSync(this.path) && readdirSync(this.path).every(isOurTemporary)
  }

  /** Holds the lab for one command; released on disposal, and void once this process is dead. */
  lock(command: string): Disposable {
    const path = join(this.path, 'lock')
    const mine = `${path}.${process.pid}`
    writeFileSync(mine, JSON.stringify({ command, ...ownRecord() }))
    try {
      for (;;) {
        if (tryLink(mine, path)) return { [Symbol.dispose]: () => rmSync(path, { force: true }) }
        const text = readIfThere(path)
        const holder =
          text === undefined ? undefined : (JSON.parse(text) as ProcessRecord & { command: string })
        if (holder !== undefined && isAlive(holder))
          throw new LabError(
            'busy',
            `\`heddle lab ${holder.command}\` is at work on this lab (process ${holder.pid}); wait for it, or interrupt it`,
          )
        rmSync(path, { force: true })
      }
    } finally {
      rmSync(mine, { force: true })
    }
  }
}

/** writeFileAtomically and lock leave such names behind where they are killed half-way. */
const isOurTemporary = (name: string): boolean => /^\.?(lab\.json|lock)\b/.test(name) && name !== RECORD

/** Whether it wasn't there. */
function makeDirectory(path: string): boolean {
  try {
    return mkdirSync(path, { recursive: true, mode: 0o700 }) !== undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' || code === 'ENOTDIR')
      throw new LabError('usage', `--dir ${path} is not a directory`, { cause: error })
    throw new LabError('usage', `--dir ${path} can't be made here (${code}); choose another`, {
      cause: error,
    })
  }
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Tells a heddle that runs in a lab which one it is in. */
export const DIRECTORY_VARIABLE = 'HEDDLE_LAB_DIR'

/** --dir, else the lab we are in, else a directory of this user's that a reboot clears. */
export function labDirectory(dir = directoryOfEnvironment()): LabDirectory {
  if (dir === '') throw new LabError('usage', '--dir is empty; want a directory, or no --dir')
  if (dir !== undefined) return new LabDirectory(resolve(dir))
  if (process.geteuid?.() === 0) return new LabDirectory('/run/heddle-lab')
  const runtime = process.env['XDG_RUNTIME_DIR']
  return new LabDirectory(
    runtime !== undefined && isOwn(runtime)
      ? join(runtime, 'heddle-lab')
      : `/tmp/heddle-lab-${process.geteuid?.() ?? 'user'}`,
  )
}

function directoryOfEnvironment(): string | undefined {
  const dir = process.env[DIRECTORY_VARIABLE]
  return dir === '' ? undefined : dir
}

function isOwn(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat !== undefined && stat.isDirectory() && stat.uid === process.geteuid?.()
}
