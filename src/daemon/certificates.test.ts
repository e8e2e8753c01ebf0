// What is told of the ends of certificates in use, and when.
import { expect, test } from 'bun:test'
import { logLines } from '../../test/support/log.ts'
import type { CertificateInUse } from '../store/etcd/certificates.ts'
import { log } from '../sys/log.ts'
import { Certificates } from './certificates.ts'
import { Report } from './report.ts'
import { StoreWatch } from './store-watch.ts'

const DAY_MS = 24 * 3600 * 1000
let serial = 0
const one = (subject: string, days: number, more: Partial<CertificateInUse> = {}): CertificateInUse => ({
  whose: 'ours',
  from: '/etc/client.pem',
  subject: `CN=${subject}`,
  serial: `${++serial}`,
  notAfter: new Date(Date.now() + days * DAY_MS),
  ...more,
})

const world = () => {
  const stack = new DisposableStack()
  const report = new Report(stack.use(new StoreWatch({ graceMs: 1000, onLong: () => undefined })))
  let found: readonly CertificateInUse[] = []
  const certificates = stack.use(
    new Certificates(report.certificateExpiry, () => ({ certificates: () => Promise.resolve(found) })),
  )
  const log = stack.use(logLines())
  const gauge = () => report.certificateExpiry.snapshot().samples
  const look = (...now: readonly CertificateInUse[]) => {
    found = now
    return certificates.look()
  }
  return { certificates, lines: log.lines, gauge, look, [Symbol.dispose]: () => stack.dispose() }
}

test('each has a gauge while it is in use', async () => {
  using w = world()
  const [ca, client, server] = [
    one('a', 50),
    one('b', 20),
    one('c', 30, { whose: "the server's", from: 'https://m1:2379' }),
  ]
  await w.look(ca, client, server)
  const sample = ({ from, subject, serial, notAfter }: CertificateInUse) => ({
    labels: { from, subject, serial },
    value: notAfter.getTime() / 1000,
  })
  expect(w.gauge()).toEqual([ca, client, server].map(sample))
  const renewed = one('b', 90)
  await w.look(ca, renewed)
  expect(w.gauge()).toEqual([ca, renewed].map(sample))
  expect(w.lines).toEqual([])
})

test('from 14 days on its end is told, and who has to do what; once, however often another connection is made', async () => {
  using w = world()
  const server = one('server-12', 12.5, { whose: "the server's", from: 'https://m1:2379' })
  const found = [one('long', 14.5), one('client-13', 13.5), server, one('over', -1.5)]
  const before = { ...log.counts }
  for (let i = 0; i < 3; i++) await w.look(...found)
  // Repeats would be folded, but they count.
  expect([log.counts.warning - before.warning, log.counts.error - before.error]).toEqual([2, 1])
  const told = w.lines.map((line) => `${line[0]}${line.replace(/^.*?\]/, '')}`.trim())
  expect(told).toEqual([
    expect.stringMatching(
      /^W the certificate of CN=client-13 in \/etc\/client\.pem expires in 13 days, on .{10}: put a new one in its place; it is used without a restart$/,
    ),
    expect.stringMatching(
      /^W the certificate of CN=server-12 presented by https:\/\/m1:2379 expires in 12 days, on .{10}: renew it on the etcd servers$/,
    ),
    expect.stringMatching(
      /^E the certificate of CN=over in \/etc\/client\.pem has expired on .{10}: put a new one/,
    ),
  ])
})

test('one that can’t be read is no reason to fall', async () => {
  using w = world()
  await w.look(one('odd', NaN))
  expect(w.lines).toEqual([expect.stringContaining("the ends of the certificates for etcd can't be read: ")])
})
