// The one door to C: the system calls heddle makes, with their types checked and their errors thrown as SysError.
// Addresses passed in come from arena.ts. Nothing here blocks except where its comment says so.
import { CString, dlopen, FFIType, ptr, read } from 'bun:ffi'
import { allocate } from './arena.ts'
import { errnoOf, SysError } from './errno.ts'

const { symbols: c } = dlopen('libc.so.6', {
  __errno_location: { args: [], returns: 'ptr' },
  strerror: { args: ['i32'], returns: 'ptr' },
  open: { args: ['ptr', 'i32', 'i32'], returns: 'i32' },
  close: { args: ['i32'], returns: 'i32' },
  read: { args: ['i32', 'ptr', 'u64'], returns: FFIType.i64_fast },
  write: { args: ['i32', 'ptr', 'u64'], returns: FFIType.i64_fast },
  socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  getsockname: { args: ['i32', 'ptr', 'ptr'], returns: 'i32' },
  sendto: { args: ['i32', 'ptr', 'u64', 'i32', 'ptr', 'u32'], returns: FFIType.i64_fast },
  recvfrom: { args: ['i32', 'ptr', 'u64', 'i32', 'ptr', 'ptr'], returns: FFIType.i64_fast },
  setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
  getsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32' },
  fcntl: { args: ['i32', 'i32', 'i64'], returns: 'i32' },
  flock: { args: ['i32', 'i32'], returns: 'i32' },
  setns: { args: ['i32', 'i32'], returns: 'i32' },
  unshare: { args: ['i32'], returns: 'i32' },
  mount: { args: ['ptr', 'ptr', 'ptr', 'u64', 'ptr'], returns: 'i32' },
  umount2: { args: ['ptr', 'i32'], returns: 'i32' },
  kill: { args: ['i32', 'i32'], returns: 'i32' },
  madvise: { args: ['u64', 'u64', 'i32'], returns: 'i32' },
  poll: { args: ['ptr', 'u64', 'i32'], returns: 'i32' },
  localtime_r: { args: ['u64', 'u64'], returns: 'ptr' },
})

const errnoAddress = c.__errno_location()
if (errnoAddress === null) throw new Error('libc has no errno for this thread')
const EINTR = errnoOf('EINTR')
const EAGAIN = errnoOf('EAGAIN')

// A plain load right after the call: nothing of ours runs in between that could change errno.
const errno = (): number => read.i32(errnoAddress, 0)

const fail = (syscall: string, subject: string): never => {
  const number = errno()
  throw sysError(syscall, number, subject)
}

/** The error of a call that answered `errno` by other means than -1 (netlink's acknowledgements). */
export const sysError = (syscall: string, errno: number, subject: string): SysError =>
  new SysError(syscall, errno, subject, errorText(errno))

/** `File exists` for 17, in libc's words. */
export function errorText(errno: number): string {
  const text = c.strerror(errno)
  return text === null ? 'unknown error' : new CString(text)
}

const check = (result: number, syscall: string, subject = ''): number =>
  result === -1 ? fail(syscall, subject) : result

/** Text as a C string in the arena, for the time of `use`. */
function withText<T>(texts: readonly string[], use: (...addresses: number[]) => T): T {
  const encoded = texts.map((text) => {
    if (text.includes('\0')) throw new RangeError(`${JSON.stringify(text)} holds a NUL character`)
    return Buffer.from(`${text}\0`)
  })
  using block = allocate(encoded.reduce((sum, bytes) => sum + bytes.length, 0))
  let offset = 0
  return use(
    ...encoded.map((bytes) => {
      block.bytes.set(bytes, offset)
      offset += bytes.length
      return block.address + offset - bytes.length
    }),
  )
}

/** Flags of open(2): `O_*` of fcntl.h. Close-on-exec is always set. */
export const O = { readOnly: 0, writeOnly: 1, readWrite: 2, create: 0o100, nonBlock: 0o4000 } as const
const O_CLOEXEC = 0o2000000

export const open = (path: string, flags: number, mode = 0): number =>
  withText([path], (text) => check(c.open(text ?? 0, flags | O_CLOEXEC, mode), 'open', path))

export function close(fd: number): void {
  // EINTR means closed all the same on Linux: trying again could close somebody else's file.
  if (c.close(fd) === -1 && errno() !== EINTR) fail('close', `fd ${fd}`)
}

/** Bytes read into `address`; 0 at the end, undefined where a non-blocking descriptor has none (EAGAIN). */
export const readInto = (fd: number, address: number, bytes: number): number | undefined =>
  transfer('read', `fd ${fd}`, () => Number(c.read(fd, address, bytes)))

/** Bytes written from `address`, or undefined (EAGAIN). */
export const writeFrom = (fd: number, address: number, bytes: number): number | undefined =>
  transfer('write', `fd ${fd}`, () => Number(c.write(fd, address, bytes)))

/** Tries again after EINTR: a signal handler in this process must not look like a failure. */
function transfer(syscall: string, subject: string, call: () => number): number | undefined {
  for (;;) {
    const result = call()
    if (result !== -1) return result
    const number = errno()
    if (number === EAGAIN) return undefined
    if (number !== EINTR) throw sysError(syscall, number, subject)
  }
}

const SOCK_CLOEXEC = 0o2000000

export const socket = (domain: number, type: number, protocol: number): number =>
  check(c.socket(domain, type | SOCK_CLOEXEC, protocol), 'socket', `(${domain}, ${type}, ${protocol})`)

export const bind = (fd: number, address: number, bytes: number): void => {
  check(c.bind(fd, address, bytes), 'bind')
}
export const connect = (fd: number, address: number, bytes: number): void => {
  check(c.connect(fd, address, bytes), 'connect')
}

const scratch = allocate(256)

/** A moment in the time zone of this host (TZ, else /etc/localtime); `month` from 1. */
export interface LocalTime {
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
}

/** A Date's first look at the time zone takes 7 ms; this one takes microseconds. */
export function localTime(unixSeconds: number): LocalTime {
  scratch.view.setBigInt64(0, BigInt(Math.floor(unixSeconds)), true)
  if (c.localtime_r(scratch.address, scratch.address + 8) === null) fail('localtime_r', `${unixSeconds}`)
  // struct tm of time.h: int tm_sec, tm_min, tm_hour, tm_mday, tm_mon.
  const field = (index: number) => scratch.view.getInt32(8 + 4 * index, true)
  return { second: field(0), minute: field(1), hour: field(2), day: field(3), month: field(4) + 1 }
}

/** CLOCK_MONOTONIC, which is not what performance.now() counts from. Bound at the first call: few ever ask. */
export function monotonicMicroseconds(): bigint {
  const library = dlopen('libc.so.6', { clock_gettime: { args: ['i32', 'ptr'], returns: 'i32' } })
  try {
    const CLOCK_MONOTONIC = 1
    check(library.symbols.clock_gettime(CLOCK_MONOTONIC, scratch.address), 'clock_gettime')
    // struct timespec of time.h: two 64-bit numbers, seconds and nanoseconds.
    const [seconds, nanoseconds] = [scratch.view.getBigInt64(0, true), scratch.view.getBigInt64(8, true)]
    return seconds * 1_000_000n + nanoseconds / 1000n
  } finally {
    library.close()
  }
}

/** The socket's own address, copied. */
export function getsockname(fd: number): Uint8Array {
  scratch.view.setUint32(0, 128, true)
  check(c.getsockname(fd, scratch.address + 16, scratch.address), 'getsockname')
  return scratch.bytes.slice(16, 16 + scratch.view.getUint32(0, true))
}

export const MSG = { trunc: 0x20, dontWait: 0x40, errQueue: 0x2000, noSignal: 0x4000 } as const

/** Bytes sent, or undefined (EAGAIN). `to` is a sockaddr in the arena. */
export const sendto = (
  fd: number,
  address: number,
  bytes: number,
  flags: number,
  to?: { address: number; bytes: number },
): number | undefined =>
  transfer('send', `fd ${fd}`, () =>
    Number(
      c.sendto(
        fd,
        address,
        bytes,
        flags | MSG.noSignal,
        to === undefined ? null : to.address,
        to?.bytes ?? 0,
      ),
    ),
  )

/**
 * Bytes received, or undefined (EAGAIN, and the end of SO_RCVTIMEO). With `MSG.trunc` the length of the whole datagram.
 * `from` is filled with the sender's sockaddr. Blocks unless `MSG.dontWait`.
 */
export const recvfrom = (
  fd: number,
  address: number,
  bytes: number,
  flags: number,
  from?: { address: number; bytes: number },
): number | undefined =>
  transfer('recv', `fd ${fd}`, () => {
    if (from === undefined) return Number(c.recvfrom(fd, address, bytes, flags, null, null))
    scratch.view.setUint32(0, from.bytes, true)
    return Number(c.recvfrom(fd, address, bytes, flags, from.address, scratch.address))
  })

export const setsockopt = (
  fd: number,
  level: number,
  option: number,
  address: number,
  bytes: number,
): void => {
  check(c.setsockopt(fd, level, option, address, bytes), 'setsockopt', `(${level}, ${option})`)
}

/** setsockopt with an int. */
export function setsockoptInt(fd: number, level: number, option: number, value: number): void {
  scratch.view.setInt32(0, value, true)
  setsockopt(fd, level, option, scratch.address, 4)
}

/** getsockopt of an int. */
export function getsockoptInt(fd: number, level: number, option: number): number {
  scratch.view.setUint32(0, 4, true)
  check(
    c.getsockopt(fd, level, option, scratch.address + 16, scratch.address),
    'getsockopt',
    `(${level}, ${option})`,
  )
  return scratch.view.getInt32(16, true)
}

/** getsockopt of a structure into the arena; returns how many bytes of it the kernel filled. */
export function getsockopt(
  fd: number,
  level: number,
  option: number,
  address: number,
  bytes: number,
): number {
  scratch.view.setUint32(0, bytes, true)
  check(c.getsockopt(fd, level, option, address, scratch.address), 'getsockopt', `(${level}, ${option})`)
  return scratch.view.getUint32(0, true)
}

/**
 * getsockopt of a structure into memory of ours that only this call uses: more than 64 bytes, which don't move meanwhile. The kernel reads
 * the request that it answers from there, too.
 */
export function getsockoptInto(fd: number, level: number, option: number, bytes: Uint8Array): number {
  if (bytes.length <= 64) throw new RangeError(`${bytes.length} bytes may move`)
  return getsockopt(fd, level, option, ptr(bytes), bytes.length)
}

const bindIoctl = () =>
  dlopen('libc.so.6', { ioctl: { args: ['i32', 'u64', 'ptr'], returns: 'i32' } }).symbols
let ioctlSymbols: ReturnType<typeof bindIoctl> | undefined

/** ioctl(2) with a structure in the arena. Bound at the first call. */
export const ioctl = (fd: number, request: number, address: number): void => {
  check((ioctlSymbols ??= bindIoctl()).ioctl(fd, request, address), 'ioctl', `0x${request.toString(16)}`)
}

/** Commands and flags of fcntl(2). */
export const F = { getFlags: 3, setFlags: 4, setOwner: 8 } as const
export const O_ASYNC = 0o20000
export const fcntl = (fd: number, command: number, value: number): number =>
  check(c.fcntl(fd, command, value), 'fcntl', `fd ${fd}`)

/** Takes an exclusive lock on an open file, for this descriptor until it is closed. Blocks while another holds it. */
export const flockExclusive = (fd: number, path: string): void => {
  while (c.flock(fd, 2) === -1) if (errno() !== EINTR) fail('flock', path)
}

/** The same without waiting: false where another holds it. */
export const flockAtOnce = (fd: number, path: string): boolean => {
  while (c.flock(fd, 2 | 4) === -1) {
    if (errno() === EAGAIN) return false
    if (errno() !== EINTR) fail('flock', path)
  }
  return true
}

export const CLONE_NEWNS = 0x20000
export const CLONE_NEWNET = 0x40000000
export const setns = (fd: number, type: number): void => {
  check(c.setns(fd, type), 'setns')
}
export const unshare = (flags: number): void => {
  check(c.unshare(flags), 'unshare', `0x${flags.toString(16)}`)
}

/** Flags of mount(2) and umount2(2). */
export const MS = {
  readOnly: 1,
  noExec: 8,
  remount: 32,
  bind: 4096,
  rec: 16384,
  private: 1 << 18,
  slave: 1 << 19,
} as const
export const MNT_DETACH = 2
export const mount = (source: string, target: string, type: string, flags: number, data = ''): void => {
  withText([source, target, type, data], (s = 0, t = 0, y = 0, d = 0) =>
    check(c.mount(s, t, y, flags, d), 'mount', `${source} on ${target}`),
  )
}
export const umount2 = (target: string, flags: number): void => {
  withText([target], (text = 0) => check(c.umount2(text, flags), 'umount2', target))
}

/** Signal 0 only asks whether the process exists. */
export const kill = (pid: number, signal: number): void => {
  check(c.kill(pid, signal), 'kill', `pid ${pid}, signal ${signal}`)
}

export { SysError, isSysError } from './errno.ts'

const MADV_DONTNEED = 4
/** Drops the pages of a mapping; of a clean file mapping they come back from the file. */
export function madviseDontNeed(address: number, bytes: number): void {
  check(c.madvise(address, bytes, MADV_DONTNEED), 'madvise', `${bytes} bytes at 0x${address.toString(16)}`)
}

const POLLOUT = 4
/** Whether a write of up to PIPE_BUF (4,096) bytes would not block. Never waits. */
export function isWritable(fd: number): boolean {
  scratch.view.setInt32(0, fd, true)
  scratch.view.setInt16(4, POLLOUT, true)
  scratch.view.setInt16(6, 0, true)
  return (transfer('poll', `fd ${fd}`, () => c.poll(scratch.address, 1, 0)) ?? 0) > 0
}

const bindInotify = () =>
  dlopen('libc.so.6', {
    inotify_init1: { args: ['i32'], returns: 'i32' },
    inotify_add_watch: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
    inotify_rm_watch: { args: ['i32', 'i32'], returns: 'i32' },
  }).symbols
let inotify: ReturnType<typeof bindInotify> | undefined

/** Of linux/inotify.h. */
export const IN = {
  attrib: 0x4,
  closeWrite: 0x8,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  deleteSelf: 0x400,
  moveSelf: 0x800,
  ignored: 0x8000,
  dontFollow: 0x2000000,
  maskAdd: 0x20000000,
} as const

/** Bound at the first call: few ever watch files. */
export const inotifyInit = (): number =>
  check((inotify ??= bindInotify()).inotify_init1(O_CLOEXEC | O.nonBlock), 'inotify_init1')

/** The watch's number; that of the one there is if the inode is watched already. */
export const inotifyAdd = (fd: number, path: string, mask: number): number =>
  withText([path], (text = 0) =>
    check((inotify ??= bindInotify()).inotify_add_watch(fd, text, mask), 'inotify_add_watch', path),
  )

export const inotifyRemove = (fd: number, watch: number): void => {
  check((inotify ??= bindInotify()).inotify_rm_watch(fd, watch), 'inotify_rm_watch', `watch ${watch}`)
}
