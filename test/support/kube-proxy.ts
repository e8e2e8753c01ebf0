// A real kube-proxy in a host of a segment, in one of its modes: `await using proxy = await KubeProxy.start(…)`.
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { kubernetes } from '../../scripts/kube-peers.ts'
import { FAMILIES } from '../../src/model/ip.ts'
import type { ControlPlane } from './control-plane.ts'
import { eventually, Running } from './process.ts'
import type { Host } from './segment.ts'

/** iptables by either of its flavours. */
export const PROXY_MODES = ['nftables', 'iptables-nft', 'iptables-legacy'] as const
export type ProxyMode = (typeof PROXY_MODES)[number]

const METRICS = '127.0.0.1:10249'

/** All who use iptables on a host take one lock, and every host of a test its own. */
export const xtablesLock = (host: Host) => ({ XTABLES_LOCKFILE: join(host.folder, 'xtables.lock') })

/** What programs must have in their environment that are to use iptables in the mode's flavour. */
export function iptablesEnvironment(host: Host, mode: ProxyMode): Readonly<Record<string, string>> {
  const lock = xtablesLock(host)
  if (mode === 'nftables') return lock
  const folder = join(host.folder, mode)
  if (mkdirSync(folder, { recursive: true }) !== undefined)
    for (const name of ['iptables', 'ip6tables'])
      for (const tool of ['', '-save', '-restore'])
        symlinkSync(
          `/usr/sbin/${name}${mode.slice('iptables'.length)}${tool}`,
          join(folder, `${name}${tool}`),
        )
  return { ...lock, PATH: `${folder}:${process.env['PATH'] ?? ''}` }
}

export class KubeProxy implements AsyncDisposable {
  readonly #host: Host
  readonly #mode: ProxyMode
  readonly process: Running

  private constructor(host: Host, mode: ProxyMode, process: Running) {
    this.#host = host
    this.#mode = mode
    this.process = process
  }

  /** Returns once it has written the rules of both families for the first time. */
  static async start(
    host: Host,
    plane: ControlPlane,
    { mode, flags }: { readonly mode: ProxyMode; readonly flags: readonly string[] },
  ): Promise<KubeProxy> {
    const words = [
      'kube-proxy',
      `--proxy-mode=${mode === 'nftables' ? mode : 'iptables'}`,
      `--kubeconfig=${plane.kubeconfig}`,
      `--hostname-override=${host.name}`,
      `--metrics-bind-address=${METRICS}`,
      // Limits of connection tracking are the machine's, not the namespace's.
      '--conntrack-max-per-core=0',
      '--conntrack-tcp-timeout-established=0',
      '--conntrack-tcp-timeout-close-wait=0',
      ...flags,
    ]
    const env = iptablesEnvironment(host, mode)
    const proxy = new KubeProxy(
      host,
      mode,
      Running.start(kubernetes, words, { namespace: host.namespace, env }),
    )
    try {
      await eventually(
        'kube-proxy has written its rules',
        async () =>
          (await proxy.metric('kubeproxy_sync_proxy_rules_last_timestamp_seconds')).length ===
            FAMILIES.length || undefined,
        30,
      )
      return proxy
    } catch (error) {
      const said = proxy.process.tail()
      await proxy[Symbol.asyncDispose]()
      throw new Error(`kube-proxy isn't ready; its last lines:\n${said}`, { cause: error })
    }
  }

  /** The values of one of its metrics, one for each set of labels that it has: none as long as there was nothing to tell. */
  async metric(name: string): Promise<number[]> {
    const text = await this.#host.sh(`curl -s --max-time 5 http://${METRICS}/metrics || true`)
    const lines = text
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    return lines.map((line) => Number(line.split(' ').at(-1)))
  }

  /** Its rules, and others' of the same kind, of both families, as text. */
  rules(): Promise<string> {
    const flavour = this.#mode.slice('iptables-'.length)
    const saves = `iptables-${flavour}-save; ip6tables-${flavour}-save`
    return this.#host.sh(this.#mode === 'nftables' ? 'nft list ruleset' : saves)
  }

  /** Waits for a text in its rules. */
  async has(text: string): Promise<void> {
    await eventually(
      `kube-proxy of ${this.#host.name} has a rule with ${text}`,
      async () => (await this.rules()).includes(text) || undefined,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]()
  }
}
