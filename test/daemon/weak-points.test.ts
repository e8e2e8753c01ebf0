// Weak points of upstream's (flannel-compat 10) that show within seconds: heddle and upstream v0.28.9 in the same scene,
// so that the scene is proved to provoke them.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { upstreamFlanneld } from '../../scripts/peers.ts'
import { Authority } from '../support/authority.ts'
import {
  both,
  HOST_GW,
  hostGwLease,
  knows,
  PATIENCE_SECONDS,
  peersOf,
  putHostGw,
  putPeer,
  subnetOf,
} from '../support/both-makes.ts'
import { EtcdServer } from '../support/etcd.ts'
import { FLANNELD } from '../support/executable.ts'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { STORE_IP, type Host } from '../support/segment.ts'
import { leaseKey, PREFIX, vxlanLease } from '../support/stores.ts'
import { TlsFolder } from '../support/tls-files.ts'
import { needsUpstream } from '../support/upstream.ts'

setDefaultTimeout(60_000)
needsUpstream()

/** Upstream's tries last a minute. */
const STOPS_WITHIN_MS = 3500

const IPV6_ALONE = JSON.stringify({
  EnableIPv4: false,
  EnableIPv6: true,
  IPv6Network: 'fd00:10::/48',
  Backend: { Type: 'vxlan' },
})

/** The status of an answer of the health server, by bash alone. */
async function asked(host: Host, path: string): Promise<string | undefined> {
  const said = await host.sh(
    `bash -c 'exec 3<>/dev/tcp/127.0.0.1/8471; printf "GET ${path} HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'`,
  )
  return /^HTTP\/1\.\d (\d+)/.exec(said)?.[1]
}

// Mostly waiting, so all at once.
describe.concurrent('in the same scene as upstream', () => {
  test('weak point 1: a key that is no lease takes no peer away', async () => {
    const peers = await both(async (make, { host, store }) => {
      putHostGw(store, 51, 52)
      await using _ = await Flanneld.start(host, store, { make })
      await knows(host, 51, 52)
      store.put(`${PREFIX}/subnets-of-somebody`, 'else')
      putHostGw(store, 53)
      await knows(host, 53)
      return await peersOf(host)
    }, HOST_GW)
    expect(peers).toEqual({ upstream: [subnetOf(53)], heddle: [51, 52, 53].map(subnetOf) })
  })

  test('weak point 3: what a peer has become while nothing could be heard is followed', async () => {
    const ways = await both(async (make, { host, store }) => {
      putHostGw(store, 51, 52)
      await using flanneld = await Flanneld.start(host, store, { make })
      await knows(host, 51, 52)
      flanneld.process.signal('SIGSTOP')
      await store.server.restart()
      store.put(leaseKey(subnetOf(51)), hostGwLease('192.168.100.61'))
      putHostGw(store, 53)
      store.compact()
      flanneld.process.signal('SIGCONT')
      await knows(host, 53)
      return await host.sh(`ip route show ${subnetOf(51)}`)
    }, HOST_GW)
    expect(ways).toEqual({
      upstream: expect.stringContaining('via 192.168.100.51 '),
      heddle: expect.stringContaining('via 192.168.100.61 '),
    })
  })

  test('weak point 23: a reservation stays one', async () => {
    const ends = await both(async (make, { host, store }) => {
      const key = leaseKey('10.244.117.0/24')
      store.put(key, vxlanLease(host.ip, '02:42:00:00:01:17'))
      await using _ = await Flanneld.start(host, store, { make })
      expect(host.subnet).toBe('10.244.117.0/24')
      return /"lease":\d/.test(store.etcdctl('get', '--write-out=json', key))
    })
    expect(ends).toEqual({ upstream: true, heddle: false })
  })

  test('weak point 24: a lease that is another host’s by now is not overwritten', async () => {
    const values = await both(async (make, { host, store }) => {
      await using _ = await Flanneld.start(host, store, { make })
      const key = leaseKey(host.subnet)
      const own = store.get(key)
      const theirs = vxlanLease('192.168.100.99', '02:42:00:00:00:99')
      // Soon at its end: upstream renews at once.
      store.put(key, theirs, store.grant(60))
      const settled = () => (make === 'upstream' ? store.get(key) !== theirs : leaseKey(host.subnet) !== key)
      await eventually('it is noticed', () => settled() || undefined, PATIENCE_SECONDS)
      return store.get(key) === own ? 'overwritten' : store.get(key) === theirs ? 'theirs' : store.get(key)
    })
    expect(values).toEqual({ upstream: 'overwritten', heddle: 'theirs' })
  })

  test('weak point 25: nobody asks for the life of each lease', async () => {
    const calls = await both(async (make, { host, store, segment }) => {
      for (const number of [51, 52, 53]) putPeer(store, number)
      await using _ = await Flanneld.start(host, store, { make })
      await knows(host, 51, 52, 53)
      const metrics = await segment.switch.sh(`curl -s ${store.endpoint}/metrics`)
      return Number(/^grpc_server_started_total.*LeaseTimeToLive.* (\d+)$/m.exec(metrics)?.[1])
    })
    expect(calls.heddle).toBe(0)
    expect(calls.upstream).toBeGreaterThan(3)
  })

  test('weak point 26: in a network of IPv6 alone another host’s lease is not its own', async () => {
    const key = `${PREFIX}/subnets/0.0.0.0-0&fd00:10:0:5::-64`
    const theirs =
      '{"PublicIP":"0.0.0.0","PublicIPv6":"fd00:100::63","BackendType":"vxlan","BackendV6Data":{"VNI":1,"VtepMAC":"02:42:00:00:00:63"}}'
    const isTheirs = await both(async (make, { host, store }) => {
      store.put(key, theirs)
      await using flanneld = Flanneld.launch(host, store, { make })
      // It takes it for its own, for all hosts have the same IPv4 address there: none.
      if (make === 'upstream')
        await flanneld.process.line(/Found lease .* for current IP|Picking ipv6 subnet/)
      else await flanneld.ready()
      return store.get(key) === theirs
    }, IPV6_ALONE)
    expect(isTheirs).toEqual({ upstream: false, heddle: true })
  })

  test('weak point 28: a revoked lease is put again, and the daemon lives', async () => {
    const ends = await both(async (make, { host, store }) => {
      await using flanneld = await Flanneld.start(host, store, { make })
      const key = leaseKey(host.subnet)
      const value = store.get(key)
      store.etcdctl('lease', 'revoke', store.leaseOf(key))
      const isBack = () => (flanneld.process.running && store.get(key) === value ? 'back' : undefined)
      return await Promise.race([
        eventually('it is back', isBack, PATIENCE_SECONDS),
        flanneld.process.ended.then(({ code }) => `ended with ${code}`),
      ])
    })
    expect(ends).toEqual({ upstream: 'ended with 0', heddle: 'back' })
  })

  test('weak points 35 and 47: ready with its peers and not before; ends at once whatever fails', async () => {
    const seen = await both(async (make, { host, store }) => {
      // What the kernel refuses for a neighbour: upstream tries for a minute, the peers behind it wait.
      putPeer(store, 50, '00:00:00:00:00:00')
      putPeer(store, 51)
      await using flanneld = await Flanneld.start(host, store, { make })
      await flanneld.process.line(make === 'upstream' ? /#1: / : /flannel is ready/)
      const reached = existsSync(host.subnetFile) ? await peersOf(host) : undefined
      flanneld.process.signal('SIGTERM')
      const ended = flanneld.process.ended.then(({ code }) => `ended with ${code}`)
      return { reached, end: await Promise.race([ended, pause(STOPS_WITHIN_MS, 'still there')]) }
    })
    expect(seen).toEqual({
      upstream: { reached: [], end: 'still there' },
      heddle: { reached: [subnetOf(51)], end: 'ended with 0' },
    })
  })

  test('weak point 36: another MTU of the interface is followed', async () => {
    const mtus = await both(async (make, { host, store }) => {
      await using _ = await Flanneld.start(host, store, { make })
      await host.sh('ip link set eth0 mtu 1400')
      const seen = () => [host.subnetValue('FLANNEL_MTU'), host.link('flannel.1').mtuBytes]
      const follows = () => seen().every((mtu) => Number(mtu) === 1350) || undefined
      if (make === 'heddle') await eventually('file and device follow', follows, PATIENCE_SECONDS)
      else await pause(1_500)
      return seen()
    })
    expect(mtus).toEqual({ upstream: ['1450', 1450], heddle: ['1350', 1350] })
  })

  test('weak point 44: a CA alone is what the server is known by', async () => {
    const root = new Authority('root')
    const got = await both(async (make, { host, store, segment }) => {
      using folder = new TlsFolder()
      const tls = folder.write('server', root.issue({ name: 'server', hosts: [STORE_IP] }))
      const flags = [`--etcd-cafile=${folder.put('ca.pem', root.cert)}`]
      await store.server.kill()
      await using server = await EtcdServer.start('etcd', {
        host: STORE_IP,
        namespace: segment.switch.namespace,
        tls,
      })
      await using flanneld = Flanneld.launch(host, { endpoint: server.endpoint, flags }, { make })
      const said = await flanneld.process.line(/no certificate provided|no network config at/)
      return /no network config/.test(said) ? 'reached' : 'CA not used'
    })
    expect(got).toEqual({ upstream: 'CA not used', heddle: 'reached' })
  })

  test('weak point 49: a password is nowhere in the log', async () => {
    const told = await both(async (make, { host, store }) => {
      const args = ['--etcd-username=flannel', '--etcd-password=s3cr3t']
      await using flanneld = await Flanneld.start(host, store, { make, args })
      await flanneld.end('SIGKILL')
      return flanneld.process.matching(/s3cr3t/).length > 0
    })
    expect(told).toEqual({ upstream: true, heddle: false })
  })

  test('weak point 50: it can be taken off the host', async () => {
    const left = await both(async (make, { host, store }) => {
      await using flanneld = await Flanneld.start(host, store, { make })
      await flanneld.end('SIGKILL')
      const [command, own] =
        make === 'heddle' ? [FLANNELD, `--state-dir=${host.stateDir} --config-file=`] : [upstreamFlanneld, '']
      const words = `--etcd-endpoints=${store.endpoint} --subnet-file=${host.subnetFile} ${own}`
      await host.sh(`unshare --mount sh -ec 'mount -t tmpfs none /var/lib; ${command} --cleanup ${words}'`)
      const devices = await host.sh('ip -o link show type vxlan')
      return { device: devices !== '', file: existsSync(host.subnetFile), leases: store.leases().size }
    })
    expect(left).toEqual({
      upstream: { device: true, file: true, leases: 1 },
      heddle: { device: false, file: false, leases: 0 },
    })
  })

  test('weak point 51: it tells what it does in metrics', async () => {
    const answers = await both(async (make, { host, store }) => {
      const args = ['--healthz-ip=127.0.0.1', '--healthz-port=8471']
      await using _ = await Flanneld.start(host, store, { make, args })
      return await eventually('it answers', () => asked(host, '/metrics').catch(() => undefined))
    })
    expect(answers).toEqual({ upstream: '404', heddle: '200' })
  })
})
