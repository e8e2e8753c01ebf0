// What drops packets of pods on a host with flanneld, as its status and its log name it: rules that real tools have
// made, with as many packets counted as were sent.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { Flanneld } from '../support/flanneld.ts'
import { eventually } from '../support/process.ts'
import { Segment, type Host, type Pod } from '../support/segment.ts'
import { networkConfig, TestStore } from '../support/stores.ts'
import { UnpackedRoot } from '../support/unpacked-root.ts'

setDefaultTimeout(120_000)

interface Wall {
  readonly way: string
  readonly certainty: string
  readonly where: string
  readonly packets?: number
  readonly owner?: string
  readonly remedies: readonly string[]
}

const closing = new AsyncDisposableStack()
let host: Host
let flanneld: Flanneld
let here: Pod
let there: Pod

beforeAll(async () => {
  const segment = closing.use(await Segment.create(2))
  const store = closing.use(await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' })))
  const other = segment.host(2)
  host = segment.host(1)
  flanneld = closing.use(await Flanneld.start(host, store))
  closing.use(await Flanneld.start(other, store))
  here = await host.pod()
  there = await other.pod()
  await eventually('pods reach one another', async () => (await there.reaches(here.ip)) || undefined)
})
afterAll(() => closing.disposeAsync())

const walls = async (): Promise<readonly Wall[] | undefined> => {
  const { walls } = JSON.parse((await flanneld.ask('/status')).body) as {
    walls?: { blockers?: readonly Wall[] }
  }
  return walls?.blockers
}
const dropping = async (): Promise<readonly Wall[]> =>
  ((await walls()) ?? []).filter(({ certainty }) => certainty === 'drops')

/** `wanted` of the first in the way of packets to pods here, once it is told so. */
const told = (wanted: Partial<Wall>) =>
  eventually(
    `told: ${JSON.stringify(wanted)}`,
    async () => {
      const wall = (await dropping()).find(({ way }) => way === 'from pods of other hosts to pods here')
      const fits = Object.entries(wanted).every(([key, value]) => wall?.[key as keyof Wall] === value)
      return fits ? wall : undefined
    },
    20,
  )
const clear = () =>
  eventually('nothing is in the way', async () => ((await walls())?.length === 0 ? true : undefined), 20)

/** Echo requests that nobody answers. */
const send = (count: number): Promise<string> =>
  there.sh(`ping -n -q -c ${count} -i 0.02 -W 0.1 ${here.ip} || true`)

describe('in the way of pods', () => {
  test('is nobody, where nobody is', clear)

  test('a rule of nft, and the log tells when it comes and when it goes', async () => {
    await host.sh(`nft -f - <<'END'
table inet mine {
  chain pods {
    type filter hook forward priority 10; policy accept;
    ct state established accept
    iifname "flannel.1" counter drop comment "none of these"
  }
}
END`)
    await send(4)
    const wall = await told({ packets: 4 })
    expect(wall.where).toMatch(
      /^rule 2 \(handle \d+\) of chain pods of table inet mine: iifname "flannel.1" counter packets 4 bytes 336 drop comment "none of these" \(4 packets so far\)$/,
    )
    await flanneld.process.line(/IPv4 packets from pods of other hosts to pods here are dropped by rule 2 /)
    await host.sh('nft delete table inet mine')
    await clear()
    await flanneld.process.line(/from pods of other hosts to pods here are not dropped any more by rule 2 /)
  })

  test('a policy of nft, that nobody counts', async () => {
    await host.sh("nft 'table ip mine { chain pods { type filter hook forward priority 0; policy drop; }; }'")
    const wall = await told({
      where: 'the policy of chain pods of table ip mine (hook forward) (not counted)',
    })
    expect(wall.packets).toBeUndefined()
    await host.sh('nft delete table ip mine')
  })

  test('a policy of iptables, of the nf_tables kind and of the old one', async () => {
    for (const [tool, table] of [
      ['iptables-nft', 'ip filter'],
      ['iptables-legacy', 'filter of iptables-legacy'],
    ] as const) {
      await host.sh(`${tool} -P FORWARD DROP`)
      await send(3)
      const wall = await told({ packets: 3, owner: 'iptables' })
      expect(wall.where).toBe(
        `the policy of chain FORWARD of table ${table} (hook forward) (3 packets so far)`,
      )
      // What it advises helps.
      await host.sh(wall.remedies.join('; '))
      await clear()
      expect(await there.reaches(here.ip, 5)).toBe(true)
      await host.sh(`${tool} -F FORWARD; ${tool} -P FORWARD ACCEPT`)
    }
    await host.sh('nft delete table ip filter')
  })

  test("Docker's policy and its chains", async () => {
    await host.sh(`iptables-nft-restore <<'END'
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
END`)
    await send(2)
    const wall = await told({ packets: 2, owner: 'docker' })
    await host.sh(wall.remedies.join('; '))
    await clear()
    expect(await there.reaches(here.ip, 5)).toBe(true)
    await host.sh('nft delete table ip filter')
  })

  test('ufw, whose own commands help, through its reload too', async () => {
    await using root = await UnpackedRoot.open(host, ['ufw'])
    await root.sh('cp /usr/share/ufw/ufw.conf /usr/share/ufw/iptables/*.rules /etc/ufw/')
    await root.sh('ufw --force enable')
    const wall = await told({ owner: 'ufw' })
    expect(wall.where).toMatch(/^the policy of chain FORWARD of table ip filter /)
    const tunnel = (await dropping()).find(({ way }) => way.startsWith('from other hosts into the tunnel'))
    expect(tunnel).toMatchObject({ owner: 'ufw' })
    expect(await there.reaches(here.ip)).toBe(false)
    await root.sh([...wall.remedies, ...(tunnel?.remedies ?? [])].join('; '))
    const isOpen = async () => ((await dropping()).length === 0 ? true : undefined)
    await eventually('ufw lets pods through', isOpen, 20)
    expect(await there.reaches(here.ip, 5)).toBe(true)
    await root.sh('ufw reload')
    expect(await there.reaches(here.ip, 5)).toBe(true)
    await eventually('it does after its reload', isOpen, 20)
    await root.sh('ufw --force disable')
  })

  test('a rule for an interface, once this host’s is called so', async () => {
    await host.sh(`nft -f - <<'END'
table inet mine {
  chain pods { type filter hook forward priority 0; iifname "flannel.1" drop comment "seen"; }
  chain host { type filter hook input priority 0; iifname "wan0" udp dport 8472 drop; }
}
END`)
    await flanneld.process.line(/dropped by rule 1 .*"seen"/)
    // Of a name no rules tell: nobody would look again for their sake.
    await host.sh('ip link set eth0 name wan0')
    await flanneld.process.line(/dropped by rule 1 .*iifname "wan0" .*dport 8472/)
    await host.sh('ip link set wan0 name eth0; nft delete table inet mine')
    await clear()
  })
})
