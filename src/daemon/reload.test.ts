// What is read again on SIGHUP: each in turn, one that fails keeps none of the others from it, none overlaps itself.
import { expect, test } from 'bun:test'
import { logLines } from '../../test/support/log.ts'
import { Reload } from './reload.ts'

const tails = (lines: readonly string[]) => lines.map((line) => line.replace(/^.*?\] /, '').trimEnd())

test('each tells what came of it, every time', async () => {
  using logged = logLines()
  const reload = new Reload()
  reload.add('options', () => Promise.resolve('nothing has changed'))
  reload.add('certificates', () => Promise.reject(new Error('no such file')))
  const removed = reload.add('gone', () => Promise.resolve('never'))
  removed[Symbol.dispose]()
  await reload.run()
  await reload.run()
  const once = [
    'SIGHUP: options read again: nothing has changed',
    "SIGHUP: certificates can't be read again, all stays as it is: no such file",
  ]
  expect(tails(logged.lines)).toEqual([...once, ...once])
})

test('asked for again meanwhile, it runs once more and never twice at a time', async () => {
  const reload = new Reload()
  let running = 0
  let runs = 0
  reload.add('slow', async () => {
    expect(++running).toBe(1)
    await Bun.sleep(10)
    running--
    return `${++runs}`
  })
  await Promise.all([reload.run(), reload.run(), reload.run()])
  expect(runs).toBe(2)
})
