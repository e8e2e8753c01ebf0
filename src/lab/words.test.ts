// Numbers with their nouns.
import { expect, test } from 'bun:test'
import { count } from './words.ts'

test('one has no plural, and a process has another than a host', () => {
  expect([count(1, 'host'), count(2, 'host'), count(0, 'pod')]).toEqual(['1 host', '2 hosts', '0 pods'])
  expect([count(1, 'process'), count(3, 'process')]).toEqual(['1 process', '3 processes'])
})
