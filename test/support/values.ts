// Literals for tests: text that must parse, and errors that must be thrown.
import { type Ip, parseIp } from '../../src/model/ip.ts'
import { type Mac, parseMac } from '../../src/model/mac.ts'
import { parsePrefix, type Prefix } from '../../src/model/prefix.ts'

const must = <T>(value: T | undefined, text: string): T => {
  if (value === undefined) throw new Error(`a test has a bad literal: ${text}`)
  return value
}

export const ip = (text: string): Ip => must(parseIp(text), text)
export const mac = (text: string): Mac => must(parseMac(text), text)
export const prefix = (text: string): Prefix => must(parsePrefix(text), text)

/** What `act` throws; an error of its own if it throws nothing. */
export function thrown(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
