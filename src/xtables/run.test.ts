// Programs of iptables that don't do as they should: whoever waits for them goes on, and nothing of them stays.
import { expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../../test/support/process.ts'
import { XtablesError } from './error.ts'
import { run } from './run.ts'

function program(text: string): Disposable & { readonly path: string; readonly folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-run-'))
  const path = join(folder, 'iptables')
  writeFileSync(path, text, { mode: 0o755 })
  return { path, folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) }
}

/** What it rejects with. */
const fate = (path: string, signal: AbortSignal): Promise<unknown> =>
  run(path, [], { signal }).then(
    () => undefined,
    (error: unknown) => error,
  )

test('one that hangs is given up at once, and what it started is killed with it', async () => {
  using hanging = program('#!/bin/sh\necho $$ >"$0.parent"\nsleep 300 &\necho $! >"$0.child"\nwait\n')
  const stop = new AbortController()
  const fated = fate(hanging.path, stop.signal)
  const pidOf = (who: string) =>
    eventually(`the ${who} is there`, () => {
      try {
        return Number(readFileSync(`${hanging.path}.${who}`, 'utf8')) || undefined
      } catch {
        return undefined
      }
    })
  const [parent, child] = [await pidOf('parent'), await pidOf('child')]
  const reason = new Error('enough')
  stop.abort(reason)
  expect(await fated).toBe(reason)
  for (const pid of [parent, child]) await eventually(`${pid} is gone`, () => isGone(pid) || undefined)
})

/** A zombie that nobody has waited for yet counts as gone. */
function isGone(pid: number): boolean {
  try {
    return /\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return true
  }
}

test('one that is no program is told as what can’t be run', async () => {
  using broken = program('neither a script nor a program')
  for (const path of [broken.path, join(broken.folder, 'missing')]) {
    const error = await fate(path, AbortSignal.timeout(10_000))
    expect(error).toBeInstanceOf(XtablesError)
    expect(String(error)).toContain(`${path} can't be run`)
  }
})
