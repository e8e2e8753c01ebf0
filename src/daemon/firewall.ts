// Where this host's rules go, decided at the start and when the network config asks for something else; and the rules.
import { chooseApplier, FLAVOURS, needsFacts, type Choice, type FirewallWish } from '../firewall/applier.ts'
import { firewallFacts } from '../firewall/facts.ts'
import { firewallChains } from '../firewall/iptables-chains.ts'
import { firewallTables, type FirewallNetwork, type FirewallOptions } from '../firewall/rules.ts'
import type { Family } from '../model/ip.ts'
import { FAMILIES } from '../model/ip.ts'
import type { KernelObject } from '../model/kernel.ts'
import { parseSpared, type NetworkConfig } from '../model/net-config.ts'
import { familyOfPrefix, type Prefix } from '../model/prefix.ts'
import { Bell } from '../sys/bell.ts'
import { log } from '../sys/log.ts'
import { listed } from './options/checks.ts'
import type { Options } from './options.ts'

const logger = log.from('firewall.ts')
/** Programs that tell their version take milliseconds. */
const LOOK_MS = 10_000

type FirewallConfig = Pick<NetworkConfig, 'enableNFTables' | 'nonMasqueradeCidrs' | 'ipv4' | 'ipv6'>

export class Firewall {
  readonly #options: FirewallOptions
  readonly #spared: readonly Prefix[]
  readonly #wish: FirewallWish
  readonly #changed = new Bell()
  #choices: ReadonlyMap<Family, Choice> = new Map()
  /** What the choices were made for. */
  #enableNFTables: boolean | undefined
  #isTold: boolean

  private constructor(options: Options, isTold: boolean) {
    this.#isTold = isTold
    this.#wish = options['firewall'] as FirewallWish
    const spared = parseSpared(listed(options['ip-masq-except']))
    this.#spared = typeof spared === 'string' ? [] : spared
    this.#options = {
      masquerade: options['ip-masq'],
      forward: options['iptables-forward-rules'],
      fullyRandom: !options['ip-masq-fully-random-disable'],
      upstreamText: options['nft-upstream-text'],
    }
  }

  /** Chosen, and told in the log unless `isTold`. */
  static async open(
    options: Options,
    config: FirewallConfig,
    signal: AbortSignal,
    isTold = false,
  ): Promise<Firewall> {
    const firewall = new Firewall(options, isTold)
    await firewall.#choose(config, signal)
    return firewall
  }

  /** The rules where they go by the last choice: another config's come once it is chosen for it. */
  objects(config: FirewallConfig, subnets: readonly Prefix[]): readonly KernelObject[] {
    if (config.enableNFTables !== this.#enableNFTables) this.#changed.ring()
    const spared = [...new Set([...this.#spared, ...(config.nonMasqueradeCidrs ?? [])])]
    return networksOf(config, subnets).flatMap((network): readonly KernelObject[] => {
      const choice = this.#choices.get(familyOfPrefix(network.network))
      const options = { ...this.#options, spared }
      if (choice === undefined || choice.applier === 'nftables') return firewallTables(options, [network])
      const fullyRandom = options.fullyRandom && choice.randomFully
      return firewallChains(FLAVOURS[choice.applier], { ...options, fullyRandom }, network)
    })
  }

  /** Chooses again whenever a config asks for it, and tells `chosen`. Never ends before the signal. */
  async follow(config: () => FirewallConfig, chosen: () => void, signal: AbortSignal): Promise<never> {
    for (;;) {
      await this.#changed.wait(Infinity, signal)
      signal.throwIfAborted()
      if (config().enableNFTables === this.#enableNFTables) continue
      await this.#choose(config(), signal)
      chosen()
    }
  }

  /** For the status, by family. */
  tell(): Readonly<Partial<Record<Family, { readonly applier: string; readonly why: string }>>> {
    return Object.fromEntries(
      [...this.#choices].map(([family, { applier, why }]) => [family, { applier, why }]),
    )
  }

  async #choose(config: FirewallConfig, signal: AbortSignal): Promise<void> {
    const { enableNFTables } = config
    const within = AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS)])
    const families = FAMILIES.filter((family) => config[family] !== undefined)
    const choices = await Promise.all(
      families.map(async (family) => {
        const facts = needsFacts(this.#wish, enableNFTables) ? await firewallFacts(family, within) : undefined
        return [family, chooseApplier(this.#wish, enableNFTables, facts)] as const
      }),
    )
    this.#choices = new Map(choices)
    this.#enableNFTables = enableNFTables
    if (this.#isTold || !(this.#options.masquerade || this.#options.forward)) return
    const texts = choices.map(([family, { applier, why }]) => ({ family, text: `${applier}: ${why}` }))
    const same = new Set(texts.map(({ text }) => text)).size === 1
    for (const { family, text } of same ? texts.slice(0, 1) : texts)
      logger.info(`Rules go to ${text}${same ? '' : ` (${family === 'ipv4' ? 'IPv4' : 'IPv6'})`}`, {
        about: `firewall ${family}`,
      })
  }
}

const networksOf = (config: FirewallConfig, subnets: readonly Prefix[]): FirewallNetwork[] =>
  FAMILIES.flatMap((family) => {
    const network = config[family]?.network
    if (network === undefined) return []
    return subnets
      .filter((subnet) => familyOfPrefix(subnet) === family)
      .map((subnet) => ({ network, subnet }))
  })
