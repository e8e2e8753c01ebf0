// Where a daemon's rules go, in the scenes in which upstream's go wrong (flannel-compat 10.C), and what both have in common
// to the letter.
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { FLANNELD, HEDDLE } from '../support/executable.ts'
import { both } from '../support/both-makes.ts'
import { Flanneld, type Make } from '../support/flanneld.ts'
import { eventually, Running } from '../support/process.ts'
import { Segment, STORE_IP, type Host } from '../support/segment.ts'
import { CONFIG_KEY, networkConfig, TestStore } from '../support/stores.ts'
import { needsUpstream } from '../support/upstream.ts'

setDefaultTimeout(90_000)
needsUpstream()
// The host's lock is one file for all network namespaces.
process.env['XTABLES_LOCKFILE'] ??= '/dev/null'

const config = (enableNFTables: boolean, more: Readonly<Record<string, unknown>> = {}) =>
  networkConfig({ Type: 'vxlan' }, { EnableNFTables: enableNFTables, ...more })
const DUAL = { EnableIPv6: true, IPv6Network: 'fd00:244::/48', IPv6SubnetMin: 'fd00:244:0:100::' }
const MASQUERADE = ['--ip-masq']

/** Rules of flannel's in tables of iptables, of all that are installed. */
const iptables = async (host: Host) =>
  (await host.sh('for t in iptables-nft ip6tables-nft iptables-legacy; do $t-save 2>/dev/null; done'))
    .split('\n')
    .filter((line) => /FLANNEL|flanneld/.test(line))
const tables = async (host: Host): Promise<string[]> =>
  (await host.sh('nft list tables')).match(/flannel-\S+/g) ?? []

/** Packets of new connections from a pod to the outside, one a millisecond or two, until disposed; and who is seen there. */
async function outgoing(segment: Segment, host: Host) {
  await using parts = new AsyncDisposableStack()
  const pod = await host.pod()
  const ear = parts.use(
    Running.start(
      'tcpdump',
      ['-nl', '--immediate-mode', '-i', 'br0', `udp and dst host ${STORE_IP} and port 7777`],
      {
        namespace: segment.switch.namespace,
      },
    ),
  )
  await ear.line(/^listening/)
  const script = `import { createSocket } from 'node:dgram'
    for (;;) {
      const socket = createSocket('udp4')
      await new Promise((resolve) => socket.send('x', 7777, '${STORE_IP}', resolve))
      socket.close()
      await new Promise((resolve) => setTimeout(resolve, 1))
    }`
  parts.use(Running.start(process.execPath, ['-e', script], { namespace: pod.namespace }))
  const seen = () =>
    ear.matching(/ IP .* > /).map((line) => / IP (\d+\.\d+\.\d+\.\d+)\./.exec(line)?.[1] ?? line)
  await eventually('packets arrive outside', () => seen().length > 5 || undefined)
  const held = parts.move()
  return {
    seen,
    /** More packets than now. */
    more: (count: number) => {
      const before = seen().length
      return eventually(`${count} more packets`, () => seen().length >= before + count || undefined, 30)
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

/** The way of a pod's packet to somewhere outside, in one line. */
const explained = async (host: Host) => {
  const command = `${HEDDLE} explain 203.0.113.7 --from ${host.pods[0]?.ip} --socket ${host.statusSocket} -- --subnet-file=${host.subnetFile}`
  return (await host.sh(`${command} || true`)).replaceAll(/\s+/g, ' ')
}

describe.concurrent('in the same scene as upstream', () => {
  test.each(['iptables', 'nft'] as const)(
    'the rules of %s mode are the same, to the letter',
    async (mode) => {
      const read = async (make: Make, host: Host, args: readonly string[], store: TestStore) => {
        const own = make === 'heddle' && mode === 'nft' ? ['--nft-upstream-text'] : []
        await using _ = await Flanneld.start(host, store, { make, args: [...args, ...own] })
        const text = await host.sh(
          mode === 'nft'
            ? 'nft list table ip flannel-ipv4; nft list table ip6 flannel-ipv6'
            : `for t in iptables ip6tables; do $t -t nat -S POSTROUTING | grep FLANNEL; $t -t nat -S FLANNEL-POSTRTG
               $t -S FORWARD | grep FLANNEL; $t -S FLANNEL-FWD; done`,
        )
        const six = host.subnetValue('FLANNEL_IPV6_SUBNET').replace(/::1\//, '::/')
        return text.replaceAll(host.subnet, 'P').replaceAll(six, 'P6')
      }
      const seen = await both(
        async (make, { host, store }) => [
          await read(make, host, MASQUERADE, store),
          await read(make, host, [...MASQUERADE, '--ip-masq-fully-random-disable'], store),
        ],
        config(mode === 'nft', DUAL),
      )
      expect(seen.heddle).toEqual(seen.upstream)
      expect(seen.heddle[0]).toMatch(
        mode === 'nft' ? 'masquerade fully-random' : '-j MASQUERADE --random-fully',
      )
      expect(seen.heddle[1]).toMatch(/masquerade|MASQUERADE/)
      expect(seen.heddle[1]).not.toMatch(/random/)
    },
  )

  test('upstream takes a config with heddle’s own key, of which it does nothing', async () => {
    const seen = await both(
      async (make, { host, store }) => {
        await using _ = await Flanneld.start(host, store, { make, args: MASQUERADE })
        return (await host.sh('nft list chain ip flannel-ipv4 postrtg')).includes(
          'ip daddr 198.51.100.0/24 return',
        )
      },
      config(true, { nonMasqueradeCIDRs: ['198.51.100.0/24'] }),
    )
    expect(seen).toEqual({ upstream: false, heddle: true })
  })

  test('weak point 40: rules that were flushed come back', async () => {
    const seen = await both(async (make, { host, store }) => {
      await using _ = await Flanneld.start(host, store, { make, args: MASQUERADE })
      await host.sh('nft flush ruleset')
      if (make === 'upstream') await pause(1_500)
      else await eventually('the tables are back', async () => (await tables(host)).length > 0 || undefined)
      return await tables(host)
    }, config(true))
    expect(seen).toEqual({ upstream: [], heddle: ['flannel-ipv4'] })
  })

  test('weak point 42: the other mode’s rules go with their jumps', async () => {
    const seen = await both(async (make, { host, store }) => {
      const first = await Flanneld.start(host, store, { make, args: MASQUERADE })
      expect((await iptables(host)).length).toBeGreaterThan(8)
      await first.end('SIGKILL')
      store.put(CONFIG_KEY, config(true))
      await using _ = await Flanneld.start(host, store, { make, args: MASQUERADE })
      return {
        left: (await iptables(host)).length > 0,
        tables: (await tables(host)).includes('flannel-ipv4'),
      }
    }, config(false))
    expect(seen).toEqual({
      upstream: { left: true, tables: true },
      heddle: { left: false, tables: true },
    })
  })

  test('what upstream’s iptables mode left is taken over, and goes with a change to nf_tables while running', async () => {
    await using segment = await Segment.create(1)
    const host = segment.host(1)
    await using store = await TestStore.start('etcd', segment, config(false))
    const upstream = await Flanneld.start(host, store, { make: 'upstream', args: MASQUERADE })
    const before = await iptables(host)
    await upstream.end('SIGKILL')
    await using flanneld = await Flanneld.start(host, store, { args: MASQUERADE })
    expect(await iptables(host)).toEqual(before)
    store.put(CONFIG_KEY, config(true))
    await eventually(
      'nothing is left in iptables',
      async () => (await iptables(host)).length === 0 || undefined,
    )
    expect(await tables(host)).toEqual(['flannel-ipv4'])
    expect(
      flanneld.process.matching(/Rules go to nftables: the network config has EnableNFTables/),
    ).toHaveLength(1)
  })

  test('weak point 43: iptables that is not installed is nothing to clean', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'heddle-nft-only-'))
    // With what starts it.
    for (const path of ['/usr/sbin/nft', '/usr/bin/setpriv', '/usr/bin/nsenter'])
      symlinkSync(path, join(folder, basename(path)))
    try {
      const seen = await both(async (make, { host, store }) => {
        await using flanneld = Flanneld.launch(host, store, { make, args: MASQUERADE, env: { PATH: folder } })
        const isReady = flanneld.ready(30).then(() => 'ready')
        const outcome = await Promise.race([
          isReady.catch(() => 'failed'),
          flanneld.process.ended.then(({ code }) => code),
        ])
        return outcome
      }, config(true))
      expect(seen).toEqual({ upstream: 1, heddle: 'ready' })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

test('weak point 45: no packet leaves unmasqueraded while flanneld starts again', async () => {
  const leaked = async (make: Make) => {
    await using segment = await Segment.create(1)
    const host = segment.host(1)
    await using store = await TestStore.start('etcd', segment, config(false))
    const first = await Flanneld.start(host, store, { make, args: MASQUERADE })
    await using traffic = await outgoing(segment, host)
    await first.end('SIGKILL')
    const isLeaked = () => traffic.seen().some((address) => address !== host.ip)
    // Upstream's moment without rules may be missed by chance.
    for (let i = 0; i < (make === 'upstream' ? 15 : 3) && !isLeaked(); i++) {
      await using _ = await Flanneld.start(host, store, { make, args: MASQUERADE })
      await traffic.more(20)
    }
    return isLeaked()
  }
  expect({ upstream: await leaked('upstream'), heddle: await leaked('heddle') }).toEqual({
    upstream: true,
    heddle: false,
  })
})

test('rules go from one place to another under way and at restarts, and no packet leaves unmasqueraded', async () => {
  await using segment = await Segment.create(1)
  const host = segment.host(1)
  await using store = await TestStore.start('etcd', segment, config(true))
  let flanneld = await Flanneld.start(host, store, { args: MASQUERADE })
  await using traffic = await outgoing(segment, host)
  const places = async () =>
    `${(await tables(host)).join(' ')} ${(await iptables(host)).length > 0 ? 'iptables' : ''}`.trim()
  const at = (where: string) =>
    eventually(`rules in ${where} alone`, async () => (await places()) === where || undefined, 30)
  for (const enable of [false, true]) {
    store.put(CONFIG_KEY, config(enable))
    await at(enable ? 'flannel-ipv4' : 'iptables')
    await traffic.more(20)
  }
  for (const firewall of ['iptables-legacy', 'iptables-nft', 'nftables']) {
    await flanneld.end()
    flanneld = await Flanneld.start(host, store, { args: [...MASQUERADE, `--firewall=${firewall}`] })
    await at(firewall === 'nftables' ? 'flannel-ipv4' : 'iptables')
    const { firewall: told } = JSON.parse((await flanneld.ask('/status')).body) as { firewall: unknown }
    expect(told).toEqual({ ipv4: { applier: firewall, why: `--firewall=${firewall}` } })
    expect(await explained(host)).toContain(
      firewall === 'nftables' ? '✓ masq table ip flannel-ipv4' : `✓ masq ${firewall} nat FLANNEL-POSTRTG`,
    )
    await traffic.more(20)
  }
  await flanneld.end()
  // All of both places goes at an uninstall.
  await host.sh(
    'iptables-legacy -t nat -N FLANNEL-POSTRTG; iptables-legacy -t nat -A POSTROUTING -j FLANNEL-POSTRTG',
  )
  expect([...new Set(traffic.seen())]).toEqual([host.ip])
  await host.sh(
    `${FLANNELD} --cleanup --config-file= --subnet-file=${host.subnetFile} --state-dir=${host.stateDir} --status-socket=${host.statusSocket} --etcd-endpoints=${store.endpoint}`,
  )
  expect(await places()).toBe('')
})
