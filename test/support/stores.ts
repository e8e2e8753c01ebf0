// A control store on a test segment, real etcd or the embedded one, with a network config and leases of flannel's.
import { EtcdServer, type EtcdKind } from './etcd.ts'
import { CONFIG_KEY, EtcdKeys } from './etcd-keys.ts'
import type { TestHost } from './kernel.ts'
import { POD_NETWORK, STORE_IP, type Segment } from './segment.ts'

export { CONFIG_KEY, leaseKey, PREFIX } from './etcd-keys.ts'

export interface BackendChoice {
  readonly Type: string
  readonly [option: string]: unknown
}
/** A network config as operators write it. Hosts lease from 10.244.100.0 on: what is below is for made-up peers. */
export const networkConfig = (backend: BackendChoice, more: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    Network: POD_NETWORK,
    SubnetMin: '10.244.100.0',
    EnableNFTables: true,
    Backend: backend,
    ...more,
  })

/** The value of a VXLAN peer's lease, as another writer puts it. */
export const vxlanLease = (publicIp: string, mac: string): string =>
  JSON.stringify({
    PublicIP: publicIp,
    PublicIPv6: null,
    BackendType: 'vxlan',
    BackendData: { VNI: 1, VtepMAC: mac },
  })

export class TestStore extends EtcdKeys implements AsyncDisposable {
  /** To stop, kill, freeze, wipe and start again. */
  readonly server: EtcdServer
  readonly #host: TestHost

  private constructor(server: EtcdServer, host: TestHost) {
    super()
    this.server = server
    this.#host = host
  }

  /** Up and answering, with a network config unless it is undefined. */
  static async start(kind: EtcdKind, segment: Segment, config?: string): Promise<TestStore> {
    const namespace = segment.switch.namespace
    const server = await EtcdServer.start(kind, { host: STORE_IP, namespace })
    const store = new TestStore(server, segment.switch)
    try {
      if (config !== undefined) store.put(CONFIG_KEY, config)
      return store
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
  }

  get endpoint(): string {
    return this.server.endpoint
  }

  protected access() {
    return { host: this.#host, flags: [`--endpoints=${this.endpoint}`] }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
  }
}
