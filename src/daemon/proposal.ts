// The network config of the conf file beside that of the store: published where the store has none, told where they
// differ. The store's is the one that counts.
import type { Json } from '../model/lease.ts'
import type { NetworkConfig } from '../model/net-config.ts'
import { StoreError, type Store } from '../store/store.ts'
import { log } from '../sys/log.ts'
import { BACKEND_KEYS, isSecretKey } from './options/conf/network-keys.ts'
import type { ProposedNetwork } from './options/conf/network.ts'

const logger = log.from('proposal.ts')

export class Proposal {
  readonly #network: ProposedNetwork
  readonly #store: Store

  constructor(network: ProposedNetwork, store: Store) {
    this.#network = network
    this.#store = store
  }

  get file(): string {
    return this.#network.file
  }

  /** Whether this is the network of that config. */
  agreesWith(config: NetworkConfig): boolean {
    return differences(config, this.#network.config).length === 0
  }

  /** For a store that was seen without one: another host may be first, and is followed then. */
  async publish(key: string, signal: AbortSignal): Promise<void> {
    try {
      if (await this.#store.proposeConfig(this.#network.text, signal))
        logger.info(`Published the network config of ${this.file} at ${key}`)
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      logger.error(
        `the network config of ${this.file} can't be published at ${key}: ${error.message}; waiting for one`,
      )
    }
  }

  compare(config: NetworkConfig): void {
    const found = differences(config, this.#network.config)
    if (found.length > 0)
      logger.warning(
        `the network config in the store is followed, and ${this.file} differs from it: ${found.join('; ')}`,
        { about: 'conf file' },
      )
  }
}

/** Each value that isn't the same, in words; none that is secret. */
export function differences(store: NetworkConfig, file: NetworkConfig): string[] {
  const there = flatten(store)
  const here = flatten(file)
  return [...new Set([...there.keys(), ...here.keys()])]
    .filter((name) => there.get(name) !== here.get(name))
    .map((name) =>
      isSecretKey(name.slice(name.indexOf('.') + 1))
        ? `${name} is another`
        : `${name} is ${there.get(name) ?? 'not set'}, in the file ${here.get(name) ?? 'not set'}`,
    )
}

/** As upstream names it. */
function flatten(config: NetworkConfig): Map<string, string> {
  const values = new Map<string, string>()
  for (const [prefix, range] of [
    ['', config.ipv4],
    ['IPv6', config.ipv6],
  ] as const) {
    if (range === undefined) continue
    values.set(`${prefix}Network`, range.network)
    values.set(`${prefix}SubnetLen`, `${range.subnetLength}`)
    values.set(`${prefix}SubnetMin`, range.min)
    values.set(`${prefix}SubnetMax`, range.max)
  }
  values.set('EnableNFTables', `${config.enableNFTables}`)
  if (config.nonMasqueradeCidrs) values.set('NonMasqueradeCIDRs', config.nonMasqueradeCidrs.join(', '))
  values.set('Backend.Type', config.backendType)
  for (const [key, value] of Object.entries(config.backend)) {
    const name = BACKEND_KEYS.find((known) => known.toLowerCase() === key.toLowerCase()) ?? key
    if (name !== 'Type' && value !== null) values.set(`Backend.${name}`, textOf(value))
  }
  return values
}

const textOf = (value: Json): string => (typeof value === 'string' ? value : JSON.stringify(value))
