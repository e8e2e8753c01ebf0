// Ports of a host that lead to a pod, by the real portmap plugin of today, as a runtime calls it behind flannel's.
import { portmap } from '../../scripts/kube-peers.ts'
import { iptablesEnvironment, type ProxyMode } from './kube-proxy.ts'
import type { Host, Pod } from './segment.ts'

/** By nf_tables where kube-proxy uses that, else by iptables of its flavour. */
export async function mapPort(
  host: Host,
  pod: Pod,
  mode: ProxyMode,
  ports: { readonly hostPort: number; readonly containerPort: number },
): Promise<void> {
  const config = {
    cniVersion: '1.0.0',
    name: 'cbr0',
    type: 'portmap',
    backend: mode === 'nftables' ? 'nftables' : 'iptables',
    capabilities: { portMappings: true },
    runtimeConfig: { portMappings: [{ ...ports, protocol: 'tcp' }] },
    prevResult: {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'eth0', sandbox: pod.namespace.path }],
      ips: pod.ips.map((ip) => ({ address: `${ip}/${ip.includes(':') ? 64 : 24}`, interface: 0 })),
    },
  }
  const environment = {
    ...iptablesEnvironment(host, mode),
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: `pod-${pod.ip}`,
    CNI_NETNS: pod.namespace.path,
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/nowhere',
  }
  const words = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  await host.sh(`env ${words.join(' ')} ${portmap} <<'END'\n${JSON.stringify(config)}\nEND`)
}
