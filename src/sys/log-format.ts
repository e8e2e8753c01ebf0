// One message of the log as a line: klog's text form, or JSON. Pure but for the clock and the process id.
import { localTime } from './libc.ts'

export type Level = 'debug' | 'info' | 'warning' | 'error'
export type LogFormat = 'text' | 'json'
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>

export interface Entry {
  readonly level: Level
  /** Where it comes from, e.g. `daemon.ts`. */
  readonly file: string
  readonly message: string
  /** Facts for programs: `name="value"` after the text, or members of the JSON object. */
  readonly fields: Fields
}

const LETTER: Readonly<Record<Level, string>> = { debug: 'I', info: 'I', warning: 'W', error: 'E' }

/** The line with its newline, and no other in it. */
export const formatLine = (format: LogFormat, entry: Entry): string =>
  format === 'json' ? jsonLine(entry) : textLine(entry)

/**
 * klog's header (k8s.io/klog/v2 klog.go, formatHeader): `I1123 03:20:00.000000    4711 main.ts:0] text name="value"`,
 * in local time. Its parsers want a line number; 0 is what klog itself writes for one that isn't known.
 */
function textLine({ level, file, message, fields }: Entry): string {
  const nowMs = Date.now()
  const { month, day, hour, minute, second } = localTime(nowMs / 1000)
  const date = `${two(month)}${two(day)}`
  const time = `${two(hour)}:${two(minute)}:${two(second)}`
  const micros = `${nowMs % 1000}`.padStart(3, '0').padEnd(6, '0')
  const pid = `${process.pid}`.padStart(7)
  let tail = ''
  for (const [name, value] of Object.entries(fields))
    if (value !== undefined && name !== 'repeats')
      tail += ` ${name}=${typeof value === 'string' ? JSON.stringify(value) : value}`
  return `${LETTER[level]}${date} ${time}.${micros} ${pid} ${file}:0] ${oneLine(message)}${oneLine(tail)}\n`
}

function jsonLine({ level, file, message, fields }: Entry): string {
  const time = new Date().toISOString()
  return `${JSON.stringify({ ...fields, time, level, pid: process.pid, file, message })}\n`
}

const two = (value: number): string => `${value}`.padStart(2, '0')

/** Whatever others wrote into a name or a value stays on its line. */
const oneLine = (text: string): string =>
  text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
