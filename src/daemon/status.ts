// What flanneld shows of itself from its first moment to its last: over HTTP, and to systemd.
import { ServiceManager } from '../status/service-manager.ts'
import { placeText, StatusServer } from '../status/server.ts'
import type { HttpPlace } from '../sys/http-listener.ts'
import { log } from '../sys/log.ts'
import { Health } from './health.ts'
import type { Options } from './options.ts'
import { Report } from './report.ts'
import { StoreWatch, type Lost } from './store-watch.ts'

const logger = log.from('status.ts')

export class Status implements Disposable {
  readonly report: Report
  readonly #parts = new DisposableStack()
  readonly #systemd: ServiceManager

  /** Answers from here on. */
  constructor(options: Options) {
    const graceMs = options['store-lost-grace'] * 1000
    const onLong = (lost: Lost | undefined) => this.#storeIsLost(lost)
    this.report = new Report(this.#parts.use(new StoreWatch({ graceMs, onLong })))
    const health = new Health(this.report)
    for (const place of placesOf(options)) this.#parts.use(serve(place, health))
    this.#systemd = this.#parts.use(
      new ServiceManager(process.env, {
        onTrouble: (reason) => logger.warning(reason),
        stuck: () => health.stuck(),
      }),
    )
    this.report.onPhase = (phase) => this.#systemd.status(phase)
    this.report.onReady = () => this.#systemd.ready()
  }

  /** While options are read again. */
  reloading(): void {
    this.#systemd.reloading()
  }
  reloaded(): void {
    this.#systemd.reloaded()
  }
  stopping(text: string): void {
    this.#systemd.stopping(text)
  }

  #storeIsLost(lost: Lost | undefined): void {
    const about = 'readiness'
    if (lost === undefined) {
      logger.info('the leases are followed again', { about })
      this.#systemd.status(this.report.phase)
      return
    }
    const text = `the leases have been lost for ${this.report.storeWatch.graceMs / 1000} s: ${lost.error.message}`
    logger.warning(`not ready any more, /readyz says so; the data plane stays as it is: ${text}`, { about })
    this.#systemd.status(`not ready: ${text}`)
  }

  [Symbol.dispose](): void {
    this.#parts.dispose()
  }
}

function placesOf(options: Options): HttpPlace[] {
  const { 'healthz-ip': ip, 'healthz-port': port, 'status-socket': socket } = options
  return [...(port > 0 ? [{ ip, port }] : []), ...(socket === '' ? [] : [{ socket }])]
}

function serve(place: HttpPlace, health: Health): StatusServer {
  const about = `status ${placeText(place)}`
  return new StatusServer(place, health, {
    onTrouble: (reason) => logger.error(reason, { about }),
    onRelief: () => logger.info(`status requests are answered at ${placeText(place)} now`, { about }),
  })
}
