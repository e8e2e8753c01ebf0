// The cluster's certificates, as tests of rotation use them: renewed, run out, and of another authority, without heddle.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { Authority } from '../support/authority.ts'
import { EtcdCluster } from '../support/etcd-cluster.ts'
import type { EtcdMember } from '../support/etcd-member.ts'
import { Segment } from '../support/segment.ts'

setDefaultTimeout(60_000)

describe('certificates of a cluster', () => {
  let segment: Segment
  let cluster: EtcdCluster
  beforeAll(async () => {
    segment = await Segment.create(0)
    cluster = await EtcdCluster.start(segment)
  })
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]()
    await segment[Symbol.asyncDispose]()
  })

  const put = () => cluster.etcdctl('--command-timeout=1s', 'put', '/key', 'value')
  /** What the member shows at a handshake: serial number and end. */
  const shown = async ({ ip }: EtcdMember): Promise<string> => {
    const { ca, cert, key } = cluster.certificates.client
    const client = `openssl s_client -connect ${ip}:2379 -CAfile ${ca} -cert ${cert} -key ${key}`
    return segment.switch.sh(`${client} </dev/null 2>/dev/null | openssl x509 -noout -serial -enddate`)
  }
  const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000)

  test('members show renewed ones at the next handshake, without a restart', async () => {
    const member = cluster.member(1)
    const before = await shown(member)
    expect(await shown(member)).toBe(before)
    const notAfter = new Date('2031-05-06T07:08:09Z')
    cluster.certificates.renewMembers({ notAfter })
    expect(await shown(member)).toContain('notAfter=May  6 07:08:09 2031 GMT')
    put()
  })

  test.each([
    ['has run out', { notAfter: inSeconds(-1) }],
    ['is not valid yet', { notBefore: inSeconds(3600) }],
  ])('a client’s that %s is refused', (_, validity) => {
    cluster.certificates.renewClient(validity)
    expect(put).toThrow(/certificate|tls|deadline/)
    cluster.certificates.renewClient()
    put()
  })

  test('another authority takes over step by step', async () => {
    const { certificates } = cluster
    const old = certificates.authority
    const root = new Authority('next CA')
    const next = root.below('etcd CA below it')
    certificates.trust(old, root)
    await cluster.restartInTurn()
    put()
    certificates.clientTrusts(old, root)
    certificates.authority = next
    certificates.renewClient()
    put()
    certificates.renewMembers()
    put()
    certificates.clientTrusts(root)
    certificates.trust(root)
    await cluster.restartInTurn()
    put()
    certificates.authority = old
    certificates.renewClient()
    expect(put).toThrow(/certificate|tls|deadline/)
    certificates.authority = next
    certificates.renewClient()
    put()
  })
})
