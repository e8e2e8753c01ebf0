// What tests read and write in a store past the daemons, by etcdctl.
import { spawnSync } from 'node:child_process'
import type { TestHost } from './kernel.ts'

export const PREFIX = '/coreos.com/network'
export const CONFIG_KEY = `${PREFIX}/config`
export const leaseKey = (subnet: string): string => `${PREFIX}/subnets/${subnet.replace('/', '-')}`

export abstract class EtcdKeys {
  /** Where etcdctl runs, and what says how to get to the store from there. */
  protected abstract access(): { readonly host: TestHost; readonly flags: readonly string[] }

  /** Runs etcdctl; its stdout. */
  etcdctl(...args: readonly string[]): string {
    return this.etcdctlWith('', ...args)
  }

  /** The same with something on stdin. */
  etcdctlWith(input: string, ...args: readonly string[]): string {
    const { host, flags } = this.access()
    const words = [`--net=${host.namespace.path}`, 'etcdctl', ...flags, ...args]
    const done = spawnSync('nsenter', words, {
      input,
      encoding: 'utf8',
      env: { ...process.env, ETCDCTL_API: '3' },
      timeout: 20_000,
    })
    if (done.status !== 0) throw new Error(`etcdctl ${args.join(' ')} failed: ${done.stderr}${done.stdout}`)
    return done.stdout
  }

  /** `lease`: the id of an etcd lease, as `etcdctl lease grant` prints it. */
  put(key: string, value: string, lease?: string): void {
    this.etcdctl('put', ...(lease === undefined ? [] : [`--lease=${lease}`]), '--', key, value)
  }
  delete(key: string): void {
    this.etcdctl('del', '--', key)
  }
  get(key: string): string | undefined {
    return this.#read('--', key).get(key)
  }
  /** The id of a new etcd lease. */
  grant(ttlSeconds: number): string {
    const said = this.etcdctl('lease', 'grant', `${ttlSeconds}`)
    return /^lease (\w+) granted/.exec(said)?.[1] ?? said
  }
  /** The id of the etcd lease that a key is attached to. */
  leaseOf(key: string): string {
    const id = /"lease":(\d+)/.exec(this.etcdctl('get', '--write-out=json', '--', key))?.[1]
    if (id === undefined) throw new Error(`${key} is attached to no etcd lease`)
    return BigInt(id).toString(16)
  }
  /** Key and value of all that upstream takes for leases: whatever begins so, without a slash. */
  leases(): ReadonlyMap<string, string> {
    return this.#read('--prefix', '--', `${PREFIX}/subnets`)
  }

  /** Forgets all that isn't now. */
  compact(): void {
    const { header } = JSON.parse(this.etcdctl('get', 'x', '--write-out=json')) as {
      readonly header: { readonly revision: number }
    }
    this.etcdctl('compact', '--physical', `${header.revision}`)
  }

  #read(...args: readonly string[]): ReadonlyMap<string, string> {
    const { kvs = [] } = JSON.parse(this.etcdctl('get', '--write-out=json', ...args)) as {
      readonly kvs?: readonly { readonly key: string; readonly value?: string }[]
    }
    return new Map(kvs.map(({ key, value = '' }) => [textOf(key), textOf(value)]))
  }
}

const textOf = (base64: string): string => Buffer.from(base64, 'base64').toString()
