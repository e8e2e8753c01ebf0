// Users, roles and permissions of the embedded store, held against those of a real etcd.
import { beforeAll, expect, test } from 'bun:test'
import { buildEtcd, etcd36 } from '../../../../scripts/peers.ts'
import { AuthPair, compareUsersWithEtcd } from '../../../../test/support/auth-oracle.ts'
import type { As, Request } from '../../../../test/support/auth-script.ts'
import { EtcdServer } from '../../../../test/support/etcd.ts'
import { etcdctlAnswers, type EtcdctlStep } from '../../../../test/support/etcdctl.ts'

const RUNS = 40

beforeAll(() => buildEtcd())

/** Both stores, empty. */
async function both(): Promise<[EtcdServer, EtcdServer]> {
  const quick = ['--bcrypt-cost', '4']
  return Promise.all([
    EtcdServer.start('etcd', { inMemory: true, program: etcd36, flags: quick }),
    EtcdServer.start('embedded', { inMemory: true }),
  ])
}

/** Asks both, and keeps a line of each answer. */
function talk(pair: AuthPair): { said: string[]; ask: (as: As, request: Request) => Promise<void> } {
  const said: string[] = []
  return {
    said,
    ask: async (as, request) => {
      const answer = await pair.ask({ as, request })
      const detail = answer instanceof Object && 'detail' in answer ? String(answer.detail) : 'done'
      said.push(`${as} ${request.kind}: ${detail.replace('etcdserver: ', '')}`)
    },
  }
}

test('the same requests of the same users get the same answers as from etcd, refusals included', async () => {
  const [etcd, embedded] = await both()
  await using _etcd = etcd
  await using _embedded = embedded
  await compareUsersWithEtcd(etcd, embedded, RUNS)
}, 60_000)

test('a lease is only for those who may write all of its keys, as in etcd', async () => {
  const [etcd, embedded] = await both()
  await using _etcd = etcd
  await using _embedded = embedded
  using pair = new AuthPair(etcd, embedded)
  const { said, ask } = talk(pair)
  const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
  const put = (key: string, lease: bigint): Request => ({
    kind: 'put',
    request: { key: bytes(key), value: bytes('x'), lease },
  })
  const inTxn = (key: string, lease: bigint): Request => ({
    kind: 'txn',
    request: { success: [{ request: { case: 'requestPut', value: { key: bytes(key), lease } } }] },
  })
  await pair.addUsers()
  await ask('root', { kind: 'roleAdd', name: 'r1' })
  await ask('root', { kind: 'permit', role: 'r1', key: bytes('a'), rangeEnd: bytes('b'), permType: 2 })
  await ask('root', { kind: 'userGrant', user: 'ann', role: 'r1' })
  await pair.enable()
  said.length = 0
  for (const id of [11n, 12n]) await ask('ann', { kind: 'grant', id })
  await ask('root', put('b', 11n))
  await ask('ann', put('a', 12n))
  for (const id of [11n, 12n]) {
    await ask('ann', put('a', id))
    await ask('ann', inTxn('a', id))
    await ask('ann', { kind: 'renew', id })
    await ask('ann', { kind: 'look', id })
    await ask('ann', { kind: 'lookKeys', id })
    await ask('ann', { kind: 'leases' })
    await ask('ann', { kind: 'revoke', id })
  }
  const denied = ['put', 'txn', 'renew', 'lookKeys', 'leases', 'revoke'].map(
    (kind) => `ann ${kind}: permission denied`,
  )
  expect(said.filter((line) => !line.endsWith('done'))).toEqual([...denied, 'ann leases: permission denied'])
}, 60_000)

test('what no user may do, and what becomes of one that is changed, is as in etcd', async () => {
  const [etcd, embedded] = await both()
  await using _etcd = etcd
  await using _embedded = embedded
  using pair = new AuthPair(etcd, embedded)
  const { said, ask } = talk(pair)
  await ask('nobody', { kind: 'enable' })
  await pair.addUsers()
  await ask('nobody', { kind: 'enable' })
  await ask('nobody', { kind: 'login', user: 'ann' })
  await ask('nobody', { kind: 'userGrant', user: 'root', role: 'root' })
  await ask('nobody', { kind: 'roleAdd', name: 'root' })
  await ask('stranger', { kind: 'roleGet', name: 'root' })
  await ask('stranger', { kind: 'enable' })
  await ask('nobody', { kind: 'login', user: 'root' })
  await ask('nobody', { kind: 'login', user: 'ann', password: 'wrong' })
  await ask('nobody', { kind: 'login', user: 'nobody', password: 'wrong' })
  await ask('nobody', { kind: 'login', user: 'ann' })
  await ask('root', { kind: 'userDelete', name: 'root' })
  await ask('root', { kind: 'userRevoke', user: 'root', role: 'root' })
  await ask('root', { kind: 'roleDelete', name: 'root' })
  await ask('root', { kind: 'roleGet', name: 'root' })
  await ask('root', { kind: 'permitNothing' })
  await ask('ann', { kind: 'userGet', name: 'ann' })
  await ask('ann', { kind: 'changePassword', name: 'ann', password: 'new' })
  await ask('root', { kind: 'changePassword', name: 'nobody', password: 'new' })
  await ask('root', { kind: 'changePassword', name: 'ann', password: 'new' })
  await ask('ann', { kind: 'userGet', name: 'ann' })
  await ask('nobody', { kind: 'login', user: 'ann' })
  await ask('nobody', { kind: 'login', user: 'ann', password: 'new' })
  await ask('ann', { kind: 'userGet', name: 'ann' })
  await ask('root', { kind: 'changePassword', name: 'ann', password: '' })
  await ask('nobody', { kind: 'login', user: 'ann', password: '' })
  await ask('root', { kind: 'userDelete', name: 'bob' })
  await ask('bob', { kind: 'userGet', name: 'bob' })
  await ask('root', { kind: 'disable' })
  await ask('stranger', { kind: 'userDelete', name: 'root' })
  await ask('nobody', { kind: 'enable' })
  expect(said.filter((line) => !line.endsWith('done'))).toEqual([
    'nobody enable: root user does not exist',
    'nobody enable: root user does not have root role',
    'nobody login: authentication is not enabled',
    'nobody login: authentication failed, invalid user ID or password',
    'nobody login: authentication failed, invalid user ID or password',
    'root userDelete: invalid auth management',
    'root userRevoke: invalid auth management',
    'root roleDelete: invalid auth management',
    'root permitNothing: permission not given',
    'ann changePassword: permission denied',
    'root changePassword: user name not found',
    'ann userGet: invalid auth token',
    'nobody login: authentication failed, invalid user ID or password',
    'nobody login: authentication failed, invalid user ID or password',
    'bob userGet: user name is empty',
    'nobody enable: root user does not exist',
  ])
}, 60_000)

const AS_ROOT = '--user=root:secret'
const AS_ANN = '--user=ann:pw'
const ETCDCTL: readonly EtcdctlStep[] = [
  { args: ['auth', 'enable'] },
  { args: ['user', 'add', 'root:secret'] },
  { args: ['user', 'add', 'ann', '--interactive=false'], input: 'pw\n' },
  { args: ['user', 'add', 'certificate', '--no-password'] },
  { args: ['role', 'add', 'net'] },
  { args: ['role', 'grant-permission', 'net', 'readwrite', '--prefix=true', '/net/'] },
  { args: ['role', 'grant-permission', 'net', 'read', 'x', 'y'] },
  { args: ['role', 'grant-permission', 'net', 'write', 'z'] },
  { args: ['role', 'grant-permission', 'net', 'read', 'y', 'x'] },
  { args: ['role', 'get', 'net'] },
  { args: ['role', 'list'] },
  { args: ['user', 'grant-role', 'ann', 'net'] },
  { args: ['user', 'grant-role', 'root', 'root'] },
  { args: ['user', 'grant-role', 'ann', 'none'] },
  { args: ['user', 'get', 'ann'] },
  { args: ['user', 'get', 'ann', '--detail'] },
  { args: ['user', 'list'] },
  { args: ['auth', 'enable'] },
  { args: ['get', '/net/a'] },
  { args: [AS_ANN, 'put', '/net/a', '1'] },
  { args: [AS_ANN, 'get', '--prefix', '/net/'] },
  { args: [AS_ANN, 'get', '--prefix', '/ne'] },
  { args: [AS_ANN, 'put', 'x', '1'] },
  { args: [AS_ANN, 'put', 'z', '1'] },
  { args: [AS_ANN, 'get', 'z'] },
  { args: [AS_ANN, 'compaction', '1'] },
  { args: [AS_ANN, 'user', 'list'] },
  { args: [AS_ANN, 'user', 'get', 'ann'] },
  { args: [AS_ANN, 'user', 'get', 'root'] },
  { args: [AS_ANN, 'role', 'get', 'net'] },
  { args: [AS_ANN, 'defrag'] },
  { args: ['--user=ann:wrong', 'get', '/net/a'] },
  { args: [AS_ROOT, 'role', 'revoke-permission', 'net', 'z'] },
  { args: [AS_ROOT, 'role', 'revoke-permission', 'net', 'z'] },
  { args: [AS_ANN, 'put', 'z', '2'] },
  { args: [AS_ROOT, 'user', 'passwd', 'ann', '--interactive=false'], input: 'other\n' },
  { args: [AS_ANN, 'get', '/net/a'] },
  { args: ['--user=ann:other', 'get', '/net/a'] },
  { args: [AS_ROOT, 'user', 'revoke-role', 'ann', 'net'] },
  { args: ['--user=ann:other', 'get', '/net/a'] },
  { args: [AS_ROOT, 'user', 'delete', 'ann'] },
  { args: [AS_ROOT, 'user', 'delete', 'root'] },
  { args: [AS_ROOT, 'role', 'delete', 'net'] },
  { args: [AS_ROOT, 'auth', 'disable'] },
  { args: ['get', '/net/a'] },
  { args: ['user', 'delete', 'root'] },
  { args: ['user', 'delete', 'certificate'] },
]

test('etcdctl manages users and roles, and asks as them, as on etcd', async () => {
  const [etcd, embedded] = await both()
  await using _etcd = etcd
  await using _embedded = embedded
  expect(etcdctlAnswers(embedded, ETCDCTL, ['simple'])).toEqual(etcdctlAnswers(etcd, ETCDCTL, ['simple']))
}, 60_000)
