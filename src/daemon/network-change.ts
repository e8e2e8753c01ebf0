// Puts another network config in force while the daemon runs, or says why it can't be: see network.ts for what can.
import { subnetsOf } from '../model/lease.ts'
import { log } from '../sys/log.ts'
import type { Fabric } from './fabric.ts'
import type { Identity } from './identity.ts'
import { judge, type Judgement, type Network, type Usable } from './network.ts'
import type { Report } from './report.ts'
import type { Tenancy } from './tenancy.ts'

const logger = log.from('network-change.ts')
const ABOUT = { about: 'network config' }

export interface NetworkChangeParts {
  readonly network: Network
  readonly identity: Identity
  readonly tenancy: Tenancy
  readonly fabric: Fabric
  readonly report: Report
  /** Names of the links that are this host's, kept for as long as it runs: former ones are to be removed. */
  readonly links: Set<string>
}

export class NetworkChange {
  readonly #parts: NetworkChangeParts

  constructor(parts: NetworkChangeParts) {
    this.#parts = parts
  }

  /** What became of it. */
  take(next: Usable): Judgement['kind'] {
    const { network, tenancy, report } = this.#parts
    const judgement = judge(network.config, next.config, tenancy.lease)
    if (judgement.kind === 'refuse') return this.#refuse(judgement.reason)
    report.configRefusal = undefined
    if (judgement.kind === 'same') return 'same'
    const { identity } = this.#parts
    const refusal = next.backend.refuses(identity.self([]))
    if (refusal !== undefined)
      return this.#refuse(`the ${next.backend.type} back end can't run so here: ${refusal}`)
    const { what, kept } = judgement
    logger.warning(`the network config has changed, in force now: ${[...what, ...kept].join('; ')}`, ABOUT)
    this.#apply(next)
    return 'apply'
  }

  #apply(next: Usable): void {
    const { network, identity, tenancy, fabric, links } = this.#parts
    network.change(next)
    const self = identity.self(subnetsOf(tenancy.lease))
    for (const object of next.backend.devices(self)) if (object.kind === 'link') links.add(object.name)
    fabric.become(self, tenancy.lease)
    tenancy.relocated()
  }

  #refuse(reason: string): 'refuse' {
    this.#parts.report.configRefusal = reason
    logger.error(`the changed network config is refused, the last one stays in force: ${reason}`, ABOUT)
    return 'refuse'
  }
}
