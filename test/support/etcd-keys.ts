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
    const lines = this.etcdctl('get', '--', key).split('\n')
    return lines.length > 1 ? lines[1] : undefined
  }
  /** Key and value of all that upstream takes for leases: whatever begins so, without a slash. */
  leases(): ReadonlyMap<string, string> {
    const lines = this.etcdctl('get', '--prefix', '--', `${PREFIX}/subnets`).split('\n')
    const found = new Map<string, string>()
    for (let i = 0; i + 1 < lines.length; i += 2) found.set(lines[i] ?? '', lines[i + 1] ?? '')
    return found
  }
}
