// The door to C: errors carry their number, name and subject, and each call reaches the kernel as it should.
import { expect, test } from 'bun:test'
import { spawn, spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { thrown } from '../../test/support/values.ts'
import { allocate } from './arena.ts'
import { errnoName, errnoOf } from './errno.ts'
import {
  bind,
  close,
  connect,
  errorText,
  fcntl,
  F,
  getsockname,
  getsockoptInt,
  kill,
  localTime,
  monotonicMicroseconds,
  mount,
  MNT_DETACH,
  MS,
  MSG,
  O,
  open,
  readInto,
  recvfrom,
  sendto,
  setsockoptInt,
  socket,
  SysError,
  umount2,
  writeFrom,
} from './libc.ts'

test('a failed call says which, of what, and why', () => {
  const error = thrown(() => open('/nowhere/at/all', O.readOnly))
  expect(error).toBeInstanceOf(SysError)
  expect(error).toMatchObject({ code: 'sys', errno: 2, errnoName: 'ENOENT', syscall: 'open' })
  expect(String(error)).toContain('open /nowhere/at/all: ENOENT (No such file or directory)')
})

test('errno names are right, and made up for no number', () => {
  expect([1, 11, 17, 35, 43, 95, 105, 133].map(errnoName)).toEqual([
    'EPERM',
    'EAGAIN',
    'EEXIST',
    'EDEADLK',
    'EIDRM',
    'EOPNOTSUPP',
    'ENOBUFS',
    'EHWPOISON',
  ])
  expect(errnoName(4242)).toBe('errno 4242')
  expect(errnoOf('ENOBUFS')).toBe(105)
  expect(() => errnoOf('ENONSENSE')).toThrow(RangeError)
  expect(errorText(17)).toBe('File exists')
})

test('text with a NUL never reaches a path', () => {
  expect(() => open('/etc/passwd\0.txt', O.readOnly)).toThrow('holds a NUL character')
})

test('bytes go to a file and come back', () => {
  const directory = mkdtempSync(join(tmpdir(), 'libc-'))
  using block = allocate(64)
  block.bytes.set(Buffer.from('through the arena'))
  const fd = open(join(directory, 'file'), O.readWrite | O.create, 0o600)
  try {
    expect(writeFrom(fd, block.address, 17)).toBe(17)
    expect(readFileSync(join(directory, 'file'), 'utf8')).toBe('through the arena')
    expect(readInto(fd, block.address, 64)).toBe(0)
  } finally {
    close(fd)
    rmSync(directory, { recursive: true })
  }
})

test('a closed descriptor is an error, not a crash', () => {
  const fd = open('/dev/null', O.readOnly)
  closeSync(fd)
  expect(thrown(() => close(fd))).toMatchObject({ errnoName: 'EBADF' })
  using block = allocate(16)
  expect(thrown(() => readInto(fd, block.address, 16))).toMatchObject({ errnoName: 'EBADF' })
})

test('datagrams over loopback: sizes, sender, would-block and truncation', () => {
  const make = () => {
    const fd = socket(2, 2, 0)
    using own = allocate(16)
    own.view.setUint16(0, 2, true)
    own.view.setUint32(4, 0x7f000001)
    bind(fd, own.address, 16)
    return { fd, address: getsockname(fd) }
  }
  const [a, b] = [make(), make()]
  using block = allocate(128)
  using name = allocate(16)
  try {
    expect(recvfrom(b.fd, block.address, 128, MSG.dontWait)).toBeUndefined()
    name.bytes.set(b.address)
    connect(a.fd, name.address, 16)
    expect(sendto(a.fd, block.address, 100, 0)).toBe(100)
    const from = { address: name.address, bytes: 16 }
    expect(recvfrom(b.fd, block.address, 10, MSG.dontWait | MSG.trunc, from)).toBe(100)
    expect(name.bytes.subarray(0, 8)).toEqual(a.address.subarray(0, 8))
    expect(sendto(b.fd, block.address, 5, 0, from)).toBe(5)
    expect(recvfrom(a.fd, block.address, 128, MSG.dontWait)).toBe(5)
    setsockoptInt(a.fd, 1, 8, 5000)
    expect(getsockoptInt(a.fd, 1, 8)).toBe(10_000)
    fcntl(a.fd, F.setFlags, O.nonBlock)
    expect(recvfrom(a.fd, block.address, 128, 0)).toBeUndefined()
  } finally {
    close(a.fd)
    close(b.fd)
  }
})

test('a process is asked for and ended', async () => {
  const child = spawn('sleep', ['60'])
  const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)))
  kill(child.pid ?? 0, 0)
  kill(child.pid ?? 0, 15)
  expect(await ended).toBe('SIGTERM')
  expect(thrown(() => kill(child.pid ?? 0, 0))).toMatchObject({ errnoName: 'ESRCH' })
})

test('a directory is mounted over another and comes back', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mount-'))
  const [below, above] = [join(directory, 'below'), join(directory, 'above')]
  for (const path of [below, above]) mkdirSync(path)
  writeFileSync(join(above, 'seen'), 'yes')
  try {
    mount(above, below, 'none', MS.bind)
    expect(readFileSync(join(below, 'seen'), 'utf8')).toBe('yes')
    umount2(below, MNT_DETACH)
    expect(thrown(() => readFileSync(join(below, 'seen')))).toMatchObject({ code: 'ENOENT' })
    expect(thrown(() => umount2(below, 0))).toMatchObject({ errnoName: 'EINVAL' })
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test.each([
  ['UTC', { month: 9, day: 9, hour: 1, minute: 46, second: 40 }],
  ['Asia/Kolkata', { month: 9, day: 9, hour: 7, minute: 16, second: 40 }],
  ['America/New_York', { month: 9, day: 8, hour: 21, minute: 46, second: 40 }],
])('local time is that of the time zone %s', (zone, expected) => {
  const program = `const { localTime } = await import(${JSON.stringify(join(import.meta.dirname, 'libc.ts'))})
    console.log(JSON.stringify(localTime(1_000_000_000.9)))`
  const told = spawnSync(process.execPath, ['-e', program], { env: { ...process.env, TZ: zone } })
  expect(JSON.parse(told.stdout.toString())).toEqual(expected)
})

test('local time agrees with JavaScript’s', () => {
  const now = new Date()
  expect(localTime(now.getTime() / 1000)).toEqual({
    month: now.getMonth() + 1,
    day: now.getDate(),
    hour: now.getHours(),
    minute: now.getMinutes(),
    second: now.getSeconds(),
  })
})

test('CLOCK_MONOTONIC is what the kernel counts from its boot', () => {
  // /proc/uptime counts time asleep too, in hundredths.
  const uptimeSeconds = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
  const seconds = Number(monotonicMicroseconds()) / 1e6
  expect(seconds).toBeLessThan(uptimeSeconds + 1)
  expect(seconds).toBeGreaterThan(0)
  expect(monotonicMicroseconds()).toBeGreaterThan(BigInt(Math.floor(seconds * 1e6)))
})
