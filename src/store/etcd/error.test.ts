// What an error of etcd advises.
import { expect, test } from 'bun:test'

import { CLOSED_EARLY, unavailable } from './error.ts'

test.each([
  ['connect ECONNREFUSED 127.0.0.1:2379', 'check that etcd runs and can be reached'],
  ['self signed certificate in certificate chain', '--etcd-cafile'],
  ['error:1000045c:SSL routines:OPENSSL_internal:TLSV1_ALERT_CERTIFICATE_REQUIRED', '--etcd-certfile'],
  [`no endpoint answers: http://192.0.2.1:2379 (${CLOSED_EARLY})`, 'no https:// endpoint'],
])('%s: %s', (detail, advice) => {
  expect(unavailable('https://192.0.2.1:2379', 'connecting', detail).message).toContain(advice)
})
