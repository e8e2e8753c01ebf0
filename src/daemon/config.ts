// The network config as the store tells it: waits for one that this build can use, then follows it. A bad one is said
// and changes nothing.
import { configureBackend } from '../backend/list.ts'
import type { NetworkConfig } from '../model/net-config.ts'
import type { Judgement, Network, Usable } from './network.ts'
import type { ConfigEvent, Store } from '../store/store.ts'
import { log } from '../sys/log.ts'
import type { Proposal } from './proposal.ts'

const logger = log.from('config.ts')
/** What all these lines tell the state of. */
const ABOUT = { about: 'network config' }

/** The config with its back end; a sentence about why this build can't use it. */
export function usable(config: NetworkConfig): Usable | string {
  const backend = configureBackend(config.backendType, config.backend)
  return typeof backend === 'string' ? backend : { config, backend }
}

export interface ConfigListener {
  /** Whether the store has a config, good or bad. */
  present(is: boolean): void
  /** Of one that this build can use: what becomes of it. */
  change(next: Usable): Judgement['kind']
  /** Of one that it can't: the last one stays. */
  refused(reason: string): void
}

export class ConfigFollower implements AsyncDisposable {
  readonly #events: AsyncIterator<ConfigEvent>
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal
  readonly #proposal: Proposal | undefined

  /** `proposal`: what to publish where the store has none. */
  constructor(store: Store, signal: AbortSignal, proposal?: Proposal) {
    this.#signal = AbortSignal.any([signal, this.#stop.signal])
    this.#events = store.configs(this.#signal)[Symbol.asyncIterator]()
    this.#proposal = proposal
  }

  /** The first config that can be used; others are told and waited out. */
  async first(): Promise<Usable> {
    for (;;) {
      const event = await this.#next()
      if (event.kind === 'missing') await this.#awaitOne(event.key)
      else if (event.kind === 'rejected')
        logger.error(
          `the network config at ${event.key} is refused: ${event.reason}; waiting for a better one`,
          ABOUT,
        )
      else {
        const found = usable(event.config)
        this.#proposal?.compare(event.config)
        if (typeof found !== 'string') return found
        logger.error(`the network config can't be used: ${found}; waiting for a better one`, ABOUT)
      }
    }
  }

  /**
   * Tells what becomes of the config in force. Never ends before the signal.
   */
  async follow(network: Network, listener: ConfigListener): Promise<never> {
    let isOther = false
    for (;;) {
      const event = await this.#next()
      listener.present(event.kind !== 'missing')
      let judged: Judgement['kind'] = 'refuse'
      if (event.kind === 'missing') {
        logger.warning(`the network config is gone from ${event.key}; going on with the last one`, ABOUT)
        // Another network than the one in use would strand the leases that there are.
        if (this.#proposal?.agreesWith(network.config)) await this.#proposal.publish(event.key, this.#signal)
      } else if (event.kind === 'rejected') {
        listener.refused(event.reason)
        logger.error(
          `the network config at ${event.key} is refused: ${event.reason}; going on with the last one`,
          ABOUT,
        )
      } else {
        const found = usable(event.config)
        if (typeof found === 'string') {
          listener.refused(found)
          logger.error(`the network config can't be used: ${found}; going on with the last one`, ABOUT)
        } else judged = listener.change(found)
        if (judged !== 'same') this.#proposal?.compare(event.config)
        else if (isOther) logger.info('the network config is the one in use again', ABOUT)
      }
      isOther = judged === 'refuse'
    }
  }

  async #awaitOne(key: string): Promise<void> {
    const { file } = this.#proposal ?? {}
    const then = file === undefined ? 'waiting for it' : `publishing that of ${file}`
    logger.warning(`there is no network config at ${key} yet; ${then}`, ABOUT)
    await this.#proposal?.publish(key, this.#signal)
  }

  async #next(): Promise<ConfigEvent> {
    const next = await this.#events.next()
    if (next.done) throw new Error('the store ended its network config')
    return next.value
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('nobody follows the network config any more'))
    await this.#events.return?.()
  }
}
