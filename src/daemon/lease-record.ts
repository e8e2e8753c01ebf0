// What proves later that a lease is this host's, whatever its address by then: the store's id, the key and its create
// revision, in a file below --state-dir. A convenience: no trouble with the file is ever more than a warning.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { publisherOf, type Lease } from '../model/lease.ts'
import type { OwnLease } from '../store/store.ts'
import { writeFileAtomically } from '../sys/files.ts'
import { log } from '../sys/log.ts'
import { machineFingerprint } from './machine.ts'

const logger = log.from('lease-record.ts')
const NAME = /^lease-[\da-f]{16}\.json$/

const schema = v.object({
  format: v.literal(1),
  /** Which flanneld of this host: those with other leases have another prefix or subnet.env. */
  prefix: v.string(),
  subnetFile: v.string(),
  /** machineFingerprint() of who wrote it. */
  machine: v.string(),
  cluster: v.string(),
  key: v.string(),
  createRevision: v.pipe(v.string(), v.regex(/^\d+$/)),
  /** What was published (publisherOf), and what was about to be. */
  publicIps: v.array(v.string()),
})
export type LeaseRecord = v.InferOutput<typeof schema>

/** Which flanneld of this host it is about. */
export interface Instance {
  readonly stateDir: string
  readonly prefix: string
  readonly subnetFile: string
}

export class LeaseRecords {
  readonly #instance: Instance
  readonly #machine = machineFingerprint()
  /** By cluster, as they are on disk. */
  readonly #known = new Map<string, LeaseRecord | undefined>()
  #isTold = false

  constructor(instance: Instance) {
    this.#instance = instance
  }

  /** Whether it is the very lease that was recorded, with a public address that this host has had: nobody took it since. */
  owns(lease: Lease, cluster: string): boolean {
    const record = this.#read(cluster)
    return (
      record !== undefined &&
      record.key === lease.key &&
      record.createRevision === lease.createRevision.toString() &&
      record.publicIps.includes(publisherOf(lease) ?? '')
    )
  }

  /** Records the lease, and that this host is about to publish another address with it. */
  keep({ lease, cluster }: Pick<OwnLease, 'lease' | 'cluster'>, nextPublicIp: string): void {
    const record: LeaseRecord = {
      format: 1,
      prefix: this.#instance.prefix,
      subnetFile: this.#instance.subnetFile,
      machine: this.#machine,
      cluster,
      key: lease.key,
      createRevision: lease.createRevision.toString(),
      publicIps: [...new Set([publisherOf(lease) ?? nextPublicIp, nextPublicIp])],
    }
    if (JSON.stringify(this.#read(cluster)) === JSON.stringify(record)) return
    this.#known.set(cluster, record)
    try {
      writeFileAtomically(this.#path(cluster), `${JSON.stringify(record, undefined, 2)}\n`, 0o600)
    } catch (error) {
      this.#warn(
        `can't record that the lease ${lease.key} is this host's: ${messageOf(error)}; if it comes back with another address it may get another subnet`,
      )
    }
  }

  #read(cluster: string): LeaseRecord | undefined {
    if (!this.#known.has(cluster)) this.#known.set(cluster, this.#load(cluster))
    return this.#known.get(cluster)
  }

  #load(cluster: string): LeaseRecord | undefined {
    const path = this.#path(cluster)
    const record = readRecord(path)
    if (record === undefined) return undefined
    if (typeof record === 'string') this.#warn(`${path} is ignored: ${record}`)
    else if (record.machine !== this.#machine)
      this.#warn(`${path} is ignored: it is another machine's, of which this one seems to be a copy`)
    else return record
    return undefined
  }

  #path(cluster: string): string {
    const { stateDir, prefix, subnetFile } = this.#instance
    const name = createHash('sha256').update([cluster, prefix, subnetFile].join('\n')).digest('hex')
    return join(stateDir, `lease-${name.slice(0, 16)}.json`)
  }

  /** The first trouble of this run; more of them would be the same. */
  #warn(text: string): void {
    if (!this.#isTold) logger.warning(text)
    this.#isTold = true
  }
}

/** Paths of all records there are. */
export function recordFiles(stateDir: string): string[] {
  try {
    return readdirSync(stateDir)
      .filter((name) => NAME.test(name))
      .map((name) => join(stateDir, name))
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw error
  }
}

/** What the file tells; undefined if there is none; a sentence if it can't be read or is none of ours. */
export function readRecord(path: string): LeaseRecord | string | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ENOENT' || code === 'ENOTDIR' ? undefined : messageOf(error)
  }
  try {
    const parsed = v.safeParse(schema, JSON.parse(text))
    return parsed.success ? parsed.output : 'it holds no record of a lease'
  } catch {
    return 'it is not JSON'
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
