// Tells when a kernel socket has something to read, without a thread and without polling: the kernel raises SIGIO on
// a descriptor's change, and everything registered is asked to read until it is empty.
import { F, fcntl, O, O_ASYNC } from './libc.ts'

/** Must not block and must read until EAGAIN: one signal stands for any number of arrivals on any descriptor. */
type Drain = () => void

const drains = new Map<number, Drain>()
let listening = false
let anchor: NodeJS.Timeout | undefined

/** Longer than any timer can run (2^31 - 1 ms, 24.8 days): it keeps the event loop alive and never has anything to do. */
const FOREVER_MS = 0x7fffffff

/**
 * Calls `onReadable` whenever `fd` may have become readable, and once at once, for what arrived before. Makes `fd`
 * non-blocking. While anything is registered the process stays alive. Dispose before closing `fd`.
 */
export function register(fd: number, onReadable: Drain): Disposable {
  if (drains.has(fd)) throw new Error(`descriptor ${fd} is watched already`)
  if (!listening) {
    // Never taken off again: SIGIO without a handler kills the process, and one may still be on its way after the
    // last descriptor has gone. An idle handler costs nothing.
    process.on('SIGIO', drainAll)
    listening = true
  }
  drains.set(fd, onReadable)
  anchor ??= setInterval(() => undefined, FOREVER_MS)
  const before = fcntl(fd, F.getFlags, 0)
  fcntl(fd, F.setOwner, process.pid)
  fcntl(fd, F.setFlags, before | O_ASYNC | O.nonBlock)
  queueMicrotask(() => {
    if (drains.get(fd) === onReadable) onReadable()
  })
  let registered = true
  return {
    [Symbol.dispose]() {
      if (!registered) return
      registered = false
      drains.delete(fd)
      fcntl(fd, F.setFlags, before)
      if (drains.size > 0) return
      clearInterval(anchor)
      anchor = undefined
    },
  }
}

/** How often the process was woken by SIGIO. */
export let wakeCount = 0

function drainAll(): void {
  wakeCount++
  for (const drain of drains.values()) drain()
}
