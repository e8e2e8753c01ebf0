// The embedded store beside a real etcd: the same random scripts, the same answers.
import { test } from 'bun:test'
import { compareWithEtcd } from '../../../test/support/etcd-oracle.ts'

test(
  'the same requests get the same answers as from etcd, errors included',
  () => compareWithEtcd(150),
  60_000,
)
