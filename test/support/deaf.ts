// Makes the namespace's only monitor deaf: another file takes the place of its socket.
import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs'
import type { TestHost } from './kernel.ts'

/** The monitor of `protocol` (0: rtnetlink, 12: netfilter) that listens in this namespace. */
export async function breakMonitor(host: TestHost, protocol = 0): Promise<Disposable> {
  const sockets = (await host.sh('cat /proc/net/netlink')).split('\n').map((line) => line.split(/ +/))
  const inode = sockets.find(
    ([, kind, , groups]) => kind === `${protocol}` && groups !== undefined && Number(`0x${groups}`) > 0,
  )?.[9]
  const fd = readdirSync('/proc/self/fd').find((name) => linkOf(name) === `socket:[${inode}]`)
  if (fd === undefined) throw new Error('nobody listens in this namespace')
  // Files get the least free number.
  const below: number[] = []
  closeSync(Number(fd))
  for (;;) {
    const file = openSync('/dev/null', 'r')
    if (file === Number(fd)) break
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
