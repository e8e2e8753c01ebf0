// A drift report from the arguments to the exit code: 0 nothing differs, 1 something does, 2 the arguments are refused,
// 3 it can't be told.
import { NOTHING } from '../../daemon/drift/desk.ts'
import { offlineDrift } from '../../daemon/drift/offline.ts'
import type { Options } from '../../daemon/options.ts'
import { readWholly } from '../../daemon/options/wholly.ts'
import { isRefused } from '../../netlink/error.ts'
import type { DriftReport } from '../../status/drift/report.ts'
import { isSysError } from '../../sys/libc.ts'
import { log } from '../../sys/log.ts'
import type { Context } from '../context.ts'
import { askDaemon, linesOf } from '../daemon-client.ts'
import type { DriftFlags } from '../drift.ts'
import { styleFor } from '../style.ts'
import { changesText } from './changes.ts'
import { reportText } from './show.ts'

const EXIT = { same: 0, differs: 1, usage: 2, unknown: 3 } as const

export async function driftMain(
  context: Context,
  flags: DriftFlags,
  words: readonly string[],
): Promise<number> {
  const { stdout, stderr } = context.process
  const complain = (text: string) => stderr.write(`${styleFor(process.stderr).bad('heddle:')} ${text}\n`)
  const given = await readWholly(words, process.env)
  if (typeof given === 'string') {
    complain(given)
    return EXIT.usage
  }
  for (const { text } of given.notes) complain(text)
  // What the daemon's rooms have to say is in the report.
  log.configure({ write: () => undefined })
  const socket = flags.socket ?? given.options['status-socket']
  const unused = [...given.settings]
    .filter(([name, { origin }]) => origin.kind === 'flag' && !PLACES.has(name))
    .map(([name]) => `--${name}`)
  /** A running flanneld has options of its own. */
  const tellUnused = () => {
    if (unused.length > 0) complain(`the running flanneld was asked: ${unused.join(', ')} had no say`)
  }
  if (flags.watch) return watch(context, socket, flags.json, complain, tellUnused)
  let report: DriftReport
  try {
    report = await reportFrom(socket, given.options)
  } catch (error) {
    complain(isForbidden(error) ? "only root may read all the kernel's tables" : messageOf(error))
    return EXIT.unknown
  }
  if (report.by === 'daemon') tellUnused()
  stdout.write(
    flags.json ? `${JSON.stringify(report, undefined, 2)}\n` : reportText(report, styleFor(process.stdout)),
  )
  return exitCode(report)
}

/** Of whom is asked: these have been of use. */
const PLACES: ReadonlySet<string> = new Set(['status-socket', 'config-file'])

/** That of an older flanneld may lack what is new. */
const reportOf = (value: unknown): DriftReport => ({ ...NOTHING, ...(value as DriftReport) })

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
const isForbidden = (error: unknown): boolean =>
  isSysError(error, 'EPERM', 'EACCES') || isRefused(error, 'EPERM', 'EACCES')

const exitCode = ({ differs, complete }: DriftReport): number =>
  differs ? EXIT.differs : complete ? EXIT.same : EXIT.unknown

/** The daemon's, else our own. Throws what keeps it from being told. */
async function reportFrom(socket: string, options: Options): Promise<DriftReport> {
  if (socket === '') return offlineDrift(options)
  const answer = await askDaemon(socket, '/drift')
  if (answer.kind === 'answer') return reportOf(answer.value)
  if (answer.kind === 'refused') throw new Error(answer.why)
  const report = await offlineDrift(options)
  return { ...report, unknown: [answer.why, ...report.unknown] }
}

async function watch(
  { process: { stdout } }: Context,
  socket: string,
  json: boolean,
  complain: (text: string) => void,
  tellUnused: () => void,
): Promise<number> {
  if (socket === '') {
    complain('--watch needs the status socket of a running flanneld; its options switch that off')
    return EXIT.unknown
  }
  const stop = new AbortController()
  const end = () => stop.abort()
  process.on('SIGINT', end).on('SIGTERM', end)
  try {
    const lines = linesOf(socket, '/drift?watch', stop.signal)
    let before: DriftReport | undefined
    for (;;) {
      const { value, done } = await lines.next()
      if (done === true) {
        if (value === undefined) return before === undefined ? EXIT.unknown : exitCode(before)
        complain(before === undefined ? `${value.why}; --watch needs one that runs` : value.why)
        return EXIT.unknown
      }
      const report = reportOf(value)
      const style = styleFor(process.stdout)
      if (before === undefined) tellUnused()
      if (json) stdout.write(`${JSON.stringify(report)}\n`)
      else stdout.write(before === undefined ? reportText(report, style) : changesText(before, report, style))
      before = report
    }
  } finally {
    process.off('SIGINT', end).off('SIGTERM', end)
  }
}
