// What values of options are right, beyond their type. Each returns how its complaint goes on after the value.
import { parseIp, parseIPv4, parseIPv6 } from '../../model/ip.ts'
import { parseSpared } from '../../model/net-config.ts'
import { compileRe2 } from '../interface/re2.ts'
import type { FlagValue } from './go-values.ts'

type Check = (value: FlagValue) => string | undefined

export const between =
  (min: number, max: number, why = ''): Check =>
  (value) =>
    typeof value === 'number' && value >= min && value <= max ? undefined : `${why}want ${min} to ${max}`

/** An empty text is no address and right. */
const address =
  (parse: (text: string) => unknown, what: string): Check =>
  (value) =>
    value === '' || parse(String(value)) !== undefined ? undefined : `want an ${what}`

export const ipv4 = address(parseIPv4, 'IPv4 address')
export const ipv6 = address(parseIPv6, 'IPv6 address')
export const ip = address(parseIp, 'IP address')

/** The items of a list with commas. */
export const listed = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')

export const spared: Check = (value) => {
  const parsed = parseSpared(listed(String(value)))
  return typeof parsed === 'string' ? parsed : undefined
}

/** Regular expressions as Go reads them. */
export const expressions: Check = (value) => {
  for (const expression of Array.isArray(value) ? (value as readonly string[]) : [String(value)]) {
    const compiled = compileRe2(expression)
    if (typeof compiled === 'string')
      return `want a regular expression of Go's dialect (RE2: no references, no looking around): ${compiled}`
  }
  return undefined
}
