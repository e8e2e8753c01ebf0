// What --watch tells of a change: each thing once, by one name.
import { expect, test } from 'bun:test'
import { stripVTControlCharacters } from 'node:util'
import { NOTHING } from '../../daemon/drift/desk.ts'
import type { DriftingObject, DriftReport } from '../../status/drift/report.ts'
import { styleFor } from '../style.ts'
import { changesText } from './changes.ts'

const OBJECT: DriftingObject = {
  kind: 'neighbour',
  key: 'flannel.1|10.5.3.0',
  what: 'missing',
  name: 'neigh 10.5.3.0 dev flannel.1',
  object: 'neigh 10.5.3.0 dev flannel.1 lladdr 02:00:00:00:00:03',
  differences: [],
  for: 'lease 10.5.3.0-24',
}
const repaired = (number: number): NonNullable<DriftReport['repairs']> => ({
  total: number,
  kinds: { neighbour: number },
  last: number === 0 ? [] : [{ kind: 'neighbour', key: OBJECT.key, number, at: new Date(0).toISOString() }],
})
const report = (fields: Partial<DriftReport>): DriftReport => ({
  ...NOTHING,
  by: 'daemon',
  complete: true,
  unknown: [],
  repairs: repaired(0),
  ...fields,
})
const lines = (before: DriftReport, now: DriftReport): string[] =>
  stripVTControlCharacters(changesText(before, now, styleFor(process.stdout)))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.slice('00:00:00 '.length))

const well = report({})
const torn = report({ objects: [OBJECT], differs: true })

test('what flanneld puts right is missing, then repaired, and no more', () => {
  expect(lines(well, torn)).toEqual([`missing    ${OBJECT.object} (lease 10.5.3.0-24)`])
  expect(lines(torn, report({ repairs: repaired(1) }))).toEqual(['repaired   neigh 10.5.3.0 dev flannel.1'])
})

test('what goes by itself is settled, by the same name', () => {
  expect(lines(torn, well)).toEqual(['settled    neigh 10.5.3.0 dev flannel.1'])
  // It has a reason now: it isn't settled.
  const reasoned = report({ objects: [{ ...OBJECT, reason: 'no buffer space' }], differs: true })
  expect(lines(torn, reasoned)).toEqual([`missing    ${OBJECT.object} (lease 10.5.3.0-24): no buffer space`])
})

test('what troubles flanneld is told when it comes and when it goes', () => {
  const troubled = report({ troubles: ['eth0 is down'] })
  expect(lines(well, troubled)).toEqual(['trouble    eth0 is down'])
  expect(lines(troubled, well)).toEqual(['settled    eth0 is down'])
})
