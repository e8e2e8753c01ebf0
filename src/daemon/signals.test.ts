// Signals to a real process whose stop hangs: it ends within two seconds, at once with a second signal, and SIGHUP
// never ends it.
import { describe, expect, test } from 'bun:test'
import { Running } from '../../test/support/process.ts'

const SCRIPT = `
  import { handleSignals } from '${import.meta.dir}/signals.ts'
  const stop = handleSignals({ onStop: (signal) => console.log('stopping', signal), onReload: () => console.log('reload') })
  stop.addEventListener('abort', () => console.log('aborted'))
  setInterval(() => undefined, 1000)
  console.log('running')
`
async function running(): Promise<Running> {
  const made = Running.start(process.execPath, ['-e', SCRIPT])
  await made.line(/running/)
  return made
}

// Mostly waiting, so all at once.
describe.concurrent('signals', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    test(`${signal} ends what hangs within two seconds, cleanly`, async () => {
      await using hanging = await running()
      const started = performance.now()
      expect(await hanging.end(signal)).toEqual({ code: 0, signal: null })
      expect(performance.now() - started).toBeLessThan(2000)
      expect(hanging.lines).toEqual(expect.arrayContaining([`stopping ${signal}`, 'aborted']))
    })

  test('a second signal ends it at once, as it would a process that handles none', async () => {
    await using hanging = await running()
    hanging.signal('SIGTERM')
    await hanging.line(/aborted/)
    const started = performance.now()
    expect(await hanging.end('SIGINT')).toEqual({ code: null, signal: 'SIGINT' })
    expect(performance.now() - started).toBeLessThan(1000)
  })

  test('SIGHUP asks for what can be read again, but not of one that stops', async () => {
    await using hanging = await running()
    hanging.signal('SIGHUP')
    await hanging.line(/reload/)
    hanging.signal('SIGTERM')
    await hanging.line(/aborted/)
    hanging.signal('SIGHUP')
    expect(await hanging.ended).toEqual({ code: 0, signal: null })
    expect(hanging.matching(/reload/)).toHaveLength(1)
  })
})
