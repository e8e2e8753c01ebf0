// The stock etcdctl on the embedded store says what it says on a real etcd.
import { expect, test } from 'bun:test'
import { EtcdServer, type EtcdKind } from '../../../test/support/etcd.ts'
import { etcdctl, etcdctlAnswers, type EtcdctlStep } from '../../../test/support/etcdctl.ts'
import { Running } from '../../../test/support/process.ts'

const TXN = `mod("a") > "0"
value("b") = "2"

put c 3
get a
del b

put never 1

`

const SCRIPT: readonly EtcdctlStep[] = [
  { args: ['put', 'a', '1'] },
  { args: ['put', 'b', '2', '--prev-kv'] },
  { args: ['put', 'b', '--ignore-value', '--prev-kv'] },
  { args: ['get', 'a'] },
  { args: ['get', '--prefix', '', '--sort-by=MODIFY', '--order=DESCEND', '--keys-only'] },
  { args: ['get', 'a', '--from-key', '--limit=1'] },
  { args: ['txn'], input: TXN },
  { args: ['txn'], input: TXN },
  { args: ['get', '', '--prefix', '--rev=3'] },
  { args: ['lease', 'grant', '3600'] },
  { args: ['lease', 'timetolive', '4d2', '--keys'] },
  { args: ['lease', 'revoke', '4d2'] },
  { args: ['lease', 'keep-alive', '--once', '4d2'] },
  { args: ['put', 'x', 'y', '--lease=4d2'] },
  { args: ['put', '', 'y'] },
  { args: ['put', 'large'], input: 'x'.repeat(1_600_000) },
  { args: ['del', 'a', '--prev-kv'] },
  { args: ['compaction', '4'] },
  { args: ['compaction', '--physical', '5'] },
  { args: ['compaction', '5'] },
  { args: ['get', 'a', '--rev=2'] },
  { args: ['get', 'a', '--rev=1000'] },
  { args: ['alarm', 'list'] },
  { args: ['alarm', 'disarm'] },
  { args: ['defrag'] },
  { args: ['endpoint', 'health'] },
]

async function answers(kind: EtcdKind): Promise<string[]> {
  await using server = await EtcdServer.start(kind, { inMemory: true })
  return etcdctlAnswers(server, SCRIPT)
}

test('etcdctl gets, puts, deletes, transacts, leases, compacts as on etcd, in both forms of output', async () => {
  const [expected, actual] = await Promise.all([answers('etcd'), answers('embedded')])
  expect(actual).toEqual(expected)
}, 60_000)

test('etcdctl sees status and member', async () => {
  await using server = await EtcdServer.start('embedded', { inMemory: true })
  const status = etcdctl(server, { args: ['--write-out=json', 'endpoint', 'status'] })
  expect(status).toMatch(
    /"version":"3\.5\.\d+\+heddle","dbSize":\d+,"leader":\d+,"raftIndex":\d+,"raftTerm":\d+/,
  )
  expect(etcdctl(server, { args: ['endpoint', 'status'] })).toContain('ENDPOINT, ')
  expect(etcdctl(server, { args: ['member', 'list'] })).toContain(', started, heddle, , ENDPOINT, false')
  expect(etcdctl(server, { args: ['endpoint', 'health', '--cluster'] })).toContain('is healthy')
}, 60_000)

for (const form of ['simple', 'json']) {
  test(`etcdctl watches in its ${form} form`, async () => {
    await using server = await EtcdServer.start('embedded', { inMemory: true })
    const flags = [`--endpoints=${server.endpoint}`, `--write-out=${form}`]
    await using watch = Running.start('env', [
      'ETCDCTL_API=3',
      'etcdctl',
      ...flags,
      'watch',
      '--prefix',
      'k',
      '--prev-kv',
      '--rev=1',
    ])
    etcdctl(server, { args: ['put', 'k1', 'one'] })
    etcdctl(server, { args: ['put', 'k1', 'two'] })
    etcdctl(server, { args: ['del', 'k1'] })
    if (form === 'simple') {
      await watch.line(/^DELETE$/)
      expect(watch.lines.slice(0, 8)).toEqual(['PUT', 'k1', 'one', 'PUT', 'k1', 'one', 'k1', 'two'])
    } else {
      await watch.line(/"type":1/)
    }
  }, 60_000)
}
