// What the kernel's connection tracking says of a connection on its way through hosts: where it was translated, and how.
import type { End } from './conversation.ts'
import type { TestHost } from './kernel.ts'
import { eventually } from './process.ts'
import { ip } from './values.ts'

const VXLAN_PORT = 8472

/** One entry of /proc/net/nf_conntrack: what comes, and what is expected in answer to what goes on. */
interface Tracked {
  readonly protocol: string
  readonly from: End
  readonly to: End
  readonly answerFrom: End
  readonly answerTo: End
}

const ENTRY =
  /^ipv[46] +\d+ (tcp|udp) .*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) .*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) /

/** The host's connections by TCP and UDP. */
async function trackedOf(host: TestHost): Promise<Tracked[]> {
  const text = await host.sh('cat /proc/net/nf_conntrack')
  return text.split('\n').flatMap((line) => {
    const [, protocol = '', from, to, fromPort, toPort, answerFrom, answerTo, answerFromPort, answerToPort] =
      ENTRY.exec(line) ?? []
    if (from === undefined) return []
    const end = (address = '', port = ''): End => ({ ip: ip(address), port: Number(port) })
    return [
      {
        protocol,
        from: end(from, fromPort),
        to: end(to, toPort),
        answerFrom: end(answerFrom, answerFromPort),
        answerTo: end(answerTo, answerToPort),
      },
    ]
  })
}

interface Passage {
  /** For each host: nothing, `source`, `destination`, or both as `source destination`. */
  readonly translated: readonly string[]
  /** How it leaves the last of them. */
  readonly seen: End
  readonly reaches: End
}

/** The way of a TCP connection through those hosts in this order, as each of them tracks it; each must know it exactly once. */
export async function passage(hosts: readonly TestHost[], from: End, to: End): Promise<Passage> {
  const translated: string[] = []
  let [seen, reaches] = [from, to]
  for (const host of hosts) {
    const entry = await entryOf(host, seen, reaches)
    translated.push(translationOf(entry))
    seen = entry.answerTo
    reaches = entry.answerFrom
  }
  return { translated, seen, reaches }
}

/** /proc may leave an entry out, or have it twice, while the table changes under who reads: then it is read again. */
async function entryOf(host: TestHost, from: End, to: End): Promise<Tracked> {
  return await eventually(`a connection from ${shown(from)} to ${shown(to)} is tracked once`, async () => {
    const [entry, ...more] = (await trackedOf(host)).filter(
      (each) => each.protocol === 'tcp' && same(each.from, from) && same(each.to, to),
    )
    return more.length === 0 ? entry : undefined
  })
}

/**
 * How the VXLAN packets that a host sent or got were translated, each way once: not at all, they should not be. Those
 * that still carry kube-proxy's mark would be.
 */
export async function tunnelTranslations(host: TestHost): Promise<string[]> {
  const tunnels = (await trackedOf(host)).filter(
    ({ protocol, to }) => protocol === 'udp' && to.port === VXLAN_PORT,
  )
  return [...new Set(tunnels.map(translationOf))]
}

const translationOf = ({ from, to, answerFrom, answerTo }: Tracked): string =>
  [...(same(answerTo, from) ? [] : ['source']), ...(same(answerFrom, to) ? [] : ['destination'])].join(' ')

const same = (a: End, b: End): boolean => a.ip === b.ip && a.port === b.port
const shown = (end: End): string => `${end.ip} port ${end.port}`
