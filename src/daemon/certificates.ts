// The certificates on the way to etcd, ours and the server's, while they are in use: their ends for the metrics, and a
// warning a day from 14 days before. Between two connections it wakes the daemon once a day at most.
import { expiryOf, nextLookMs, type Expiry } from '../store/expiry.ts'
import type { CertificateInUse } from '../store/etcd/certificates.ts'
import { log } from '../sys/log.ts'
import type { Report } from './report.ts'

const logger = log.from('certificates.ts')
/** A certificate that has ended is told again after this. */
const AGAIN_MS = 23 * 3600 * 1000
const SERVERS = 'renew it on the etcd servers'

export interface CertificateSource {
  certificates(): Promise<readonly CertificateInUse[]>
}

export class Certificates implements Disposable {
  readonly #gauge: Report['certificateExpiry']
  readonly #source: () => CertificateSource | undefined
  #shown: readonly CertificateInUse[] = []
  #expiries: readonly Expiry[] = []
  /** When each was said last. */
  #said = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #isOver = false

  /** `source` is asked at each look: there may be none yet. */
  constructor(gauge: Report['certificateExpiry'], source: () => CertificateSource | undefined) {
    this.#gauge = gauge
    this.#source = source
  }

  /** To be called when another connection is in use. */
  async look(): Promise<void> {
    try {
      const found = (await this.#source()?.certificates()) ?? []
      if (this.#isOver) return
      this.#expiries = found.map(expiryOfOne)
      this.#show(found)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      logger.warning(`the ends of the certificates for etcd can't be read: ${why}`)
    }
    this.#tell()
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }

  #show(found: readonly CertificateInUse[]): void {
    for (const one of this.#shown) this.#gauge.remove(labelsOf(one))
    for (const one of found) this.#gauge.set(one.notAfter.getTime() / 1000, labelsOf(one))
    this.#shown = found
  }

  #tell(): void {
    clearTimeout(this.#timer)
    if (this.#expiries.length === 0) return
    const nowMs = Date.now()
    const said = new Map<string, number>()
    for (const expiry of this.#expiries) {
      const warning = expiry.warning(nowMs)
      if (warning === undefined || said.has(warning.text)) continue
      const before = this.#said.get(warning.text)
      const isDue = before === undefined || nowMs - before > AGAIN_MS || nowMs < before
      if (isDue) logger[warning.level](warning.text)
      said.set(warning.text, isDue ? nowMs : before)
    }
    this.#said = said
    this.#timer = setTimeout(() => this.#tell(), nextLookMs(this.#expiries, nowMs))
    this.#timer.unref()
  }
}

function expiryOfOne({ whose, from, subject, notAfter }: CertificateInUse): Expiry {
  const ending = { subject, endMs: notAfter.getTime() }
  return whose === 'ours' ? expiryOf(ending, `in ${from}`) : expiryOf(ending, `presented by ${from}`, SERVERS)
}

const labelsOf = ({ from, subject, serial }: CertificateInUse) => ({ from, subject, serial })
