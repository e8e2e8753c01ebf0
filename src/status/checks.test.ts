// Probes' answers: upstream's texts by default, one line a check in Kubernetes' form when asked for.
import { expect, test } from 'bun:test'
import { probeAnswer, type Check } from './checks.ts'

const verdict = { good: 'flanneld is ready', bad: 'flanneld is not ready yet' }
const good: Check = { name: 'lease', failure: undefined }
const bad: Check = { name: 'store', failure: 'not heard of for 130 s:\n  connection refused' }
const type = 'text/plain; charset=utf-8'

test('no check fails', () => {
  expect(probeAnswer([good], verdict, '')).toEqual({ status: 200, type, body: 'flanneld is ready' })
  expect(
    probeAnswer([good, { name: 'store', failure: undefined, note: 'lost for 3 s' }], verdict, 'verbose').body,
  ).toBe('[+]lease ok\n[+]store ok: lost for 3 s\nflanneld is ready\n')
})

test('one fails', () => {
  expect(probeAnswer([good, bad], verdict, '')).toEqual({
    status: 503,
    type,
    body: 'flanneld is not ready yet',
  })
  expect(probeAnswer([good, bad], verdict, 'timeout=1&verbose=true')).toEqual({
    status: 503,
    type,
    body: '[+]lease ok\n[-]store failed: not heard of for 130 s: connection refused\nflanneld is not ready yet\n',
  })
})
