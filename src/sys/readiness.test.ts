// Readiness by SIGIO: everything registered is asked, nothing holds the process once it has gone, and a signal that
// comes late does no harm.
import { expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { thrown } from '../../test/support/values.ts'
import { close, socket } from './libc.ts'
import { register } from './readiness.ts'

test('one signal asks everything that is registered, and no longer what was taken off', async () => {
  const fds = [socket(2, 2, 0), socket(2, 2, 0)] as const
  const asked = [0, 0]
  const registrations = fds.map((fd, index) => register(fd, () => void asked[index]!++))
  try {
    await Bun.sleep(0)
    expect(asked).toEqual([1, 1])
    expect(thrown(() => register(fds[0], () => undefined))).toBeInstanceOf(Error)
    registrations[1]?.[Symbol.dispose]()
    const [before = 0] = asked
    process.kill(process.pid, 'SIGIO')
    while (asked[0] === before) await Bun.sleep(1)
    expect(asked[1]).toBe(1)
  } finally {
    for (const r of registrations) r[Symbol.dispose]()
    for (const fd of fds) close(fd)
  }
})

test('a process ends by itself once nothing is registered, and a late SIGIO does not kill it', () => {
  const script = `import { register } from '${import.meta.dir}/readiness.ts'
import { socket, close } from '${import.meta.dir}/libc.ts'
const fd = socket(2, 2, 0)
const r = register(fd, () => undefined)
setTimeout(() => { r[Symbol.dispose](); close(fd); process.kill(process.pid, 'SIGIO') }, 50)
process.on('exit', () => console.log('ended'))`
  const run = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', timeout: 20_000 })
  expect([run.status, run.stdout]).toEqual([0, 'ended\n'])
})
