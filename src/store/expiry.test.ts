// When what is said about a certificate's end.
import { expect, test } from 'bun:test'
import { X509Certificate } from 'node:crypto'
import { Authority } from '../../test/support/authority.ts'
import { expiryOf, nextLookMs } from './expiry.ts'

const DAY_MS = 24 * 3600 * 1000
const { cert } = new Authority('ca').issue({ name: 'server' })
const { subject, validTo } = new X509Certificate(cert)
const expiry = expiryOf({ subject, endMs: Date.parse(validTo) }, 'in /etc/server.pem')
const at = (daysBefore: number): number => expiry.endMs - daysBefore * DAY_MS

test('nothing is said until 14 days before the end, then the days left, then that it is over', () => {
  const end = new Date(expiry.endMs).toISOString().slice(0, 10)
  const who = 'the certificate of CN=server in /etc/server.pem'
  const left = (words: string) => ({
    level: 'warning' as const,
    text: `${who} expires ${words}, on ${end}: put a new one in its place; it is used without a restart`,
  })
  expect(expiry.warning(at(14.1))).toBeUndefined()
  expect(expiry.warning(at(14))).toEqual(left('in 14 days'))
  expect(expiry.warning(at(1.5))).toEqual(left('in 1 day'))
  expect(expiry.warning(at(0.5))).toEqual(left('within a day'))
  const over = {
    level: 'error' as const,
    text: `${who} has expired on ${end}: put a new one in its place; it is used without a restart`,
  }
  expect(expiry.warning(at(0))).toEqual(over)
  expect(expiry.warning(at(-100))).toEqual(over)
})

test('it is looked at again when the warnings begin, then daily, and never later than a timer can hold', () => {
  const later = { ...expiry, endMs: expiry.endMs + 400 * DAY_MS }
  expect(nextLookMs([later, expiry], at(20))).toBe(6 * DAY_MS + 1)
  expect(nextLookMs([expiry], at(13))).toBe(DAY_MS)
  expect(nextLookMs([expiry, later], at(-3))).toBe(DAY_MS)
  expect(nextLookMs([later], at(0))).toBe(2 ** 31 - 1)
})
