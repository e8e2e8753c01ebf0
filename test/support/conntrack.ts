// What the kernel's connection tracking says of a connection on its way through hosts: where it was translated, and how.
import type { End } from './conversation.ts'
import type { TestHost } from './kernel.ts'
import { ip } from './values.ts'

/** One entry of /proc/net/nf_conntrack: what comes, and what is expected in answer to what goes on. */
interface Tracked {
  readonly from: End
  readonly to: End
  readonly answerFrom: End
  readonly answerTo: End
}

const ENTRY =
  /^ipv[46] .* tcp .*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) .*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) /

/** The host's TCP connections. */
async function trackedOf(host: TestHost): Promise<Tracked[]> {
  const text = await host.sh('cat /proc/net/nf_conntrack')
  return text.split('\n').flatMap((line) => {
    const [, from, to, fromPort, toPort, answerFrom, answerTo, answerFromPort, answerToPort] =
      ENTRY.exec(line) ?? []
    if (from === undefined) return []
    const end = (address = '', port = ''): End => ({ ip: ip(address), port: Number(port) })
    return [
      {
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

/** The way of a connection through those hosts in this order, as each of them tracks it; each must know it exactly once. */
export async function passage(hosts: readonly TestHost[], from: End, to: End): Promise<Passage> {
  const translated: string[] = []
  let [seen, reaches] = [from, to]
  for (const host of hosts) {
    const all = await trackedOf(host)
    const entries = all.filter((each) => same(each.from, seen) && same(each.to, reaches))
    const [entry] = entries
    if (entry === undefined || entries.length > 1)
      throw new Error(
        `${entries.length} entries of ${shown(seen)} to ${shown(reaches)} among:\n${all.map((e) => JSON.stringify(e)).join('\n')}`,
      )
    translated.push(
      [
        ...(same(entry.answerTo, entry.from) ? [] : ['source']),
        ...(same(entry.answerFrom, entry.to) ? [] : ['destination']),
      ].join(' '),
    )
    seen = entry.answerTo
    reaches = entry.answerFrom
  }
  return { translated, seen, reaches }
}

const same = (a: End, b: End): boolean => a.ip === b.ip && a.port === b.port
const shown = (end: End): string => `${end.ip} port ${end.port}`
