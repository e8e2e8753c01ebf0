// Takes the namespace's only monitor its hearing: for good, or so that it notices.
import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs'
import { attachFilter } from '../../src/netlink/filter.ts'
import type { TestHost } from './kernel.ts'

const upTo = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i)
/** Types of notifications: RTM_NEWLINK to RTM_DELNEXTHOP; those of nf_tables. */
const EVERY: Readonly<Record<number, readonly number[]>> = { 0: upTo(16, 105), 12: upTo(0xa00, 0xa64) }

/** The descriptor of the monitor of `protocol` (0: rtnetlink, 12: netfilter) that listens in this namespace. */
async function monitorOf(host: TestHost, protocol: number): Promise<number> {
  const sockets = (await host.sh('cat /proc/net/netlink')).split('\n').map((line) => line.split(/ +/))
  const inode = sockets.find(
    ([, kind, , groups]) => kind === `${protocol}` && groups !== undefined && Number(`0x${groups}`) > 0,
  )?.[9]
  const fd = readdirSync('/proc/self/fd').find((name) => linkOf(name) === `socket:[${inode}]`)
  if (fd === undefined) throw new Error('nobody listens in this namespace')
  return Number(fd)
}

/** Every notification is dropped from now on, which the monitor can't know: until it sets another filter. */
export async function deafen(host: TestHost, protocol = 0): Promise<void> {
  attachFilter(await monitorOf(host, protocol), [
    { types: EVERY[protocol] ?? [], offset: 0, bytes: 1, values: [] },
  ])
}

/** Another file takes the place of its socket: it can't read, and listens anew a little later. */
export async function breakMonitor(host: TestHost, protocol = 0): Promise<Disposable> {
  const fd = await monitorOf(host, protocol)
  // Files get the least free number.
  const below: number[] = []
  closeSync(fd)
  for (;;) {
    const file = openSync('/dev/null', 'r')
    if (file === fd) break
    below.push(file)
  }
  return {
    [Symbol.dispose]() {
      for (const file of below) closeSync(file)
    },
  }
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return ''
  }
}
