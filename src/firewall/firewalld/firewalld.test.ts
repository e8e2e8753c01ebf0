// What firewalld is told, by what it says of its zones.
import { describe, expect, test } from 'bun:test'
import { prefix } from '../../../test/support/values.ts'
import { commandsOf, planFirewalld, planRemoval, type Binding, type FirewalldState } from './plan.ts'
import { opens, parseZones } from './zones.ts'

/** Printed by firewalld 1.3.3, and the head of one by 2.x. */
const zonesText = (
  changes: { trusted?: string; target?: string; publicPorts?: string; work?: string } = {},
) => `public (default, active)
  target: ${changes.target ?? 'default'}
  ingress-priority: 0
  icmp-block-inversion: no
  interfaces: eth1
  sources: 
  services: dhcpv6-client ssh
  ports: ${changes.publicPorts ?? ''}
  protocols: 
  forward: yes
  rich rules: 
	rule family="ipv4" source address="1.2.3.4" reject

trusted
  target: ACCEPT
  interfaces: 
  sources: ${changes.trusted ?? ''}
  ports: 
  source-ports: 

work (active)
  target: default
  interfaces: eth0 eth2
  sources: ${changes.work ?? ''}
  ports: 
`
const state = (
  runtime: Parameters<typeof zonesText>[0] = {},
  permanent: Parameters<typeof zonesText>[0] = runtime,
): FirewalldState => ({
  defaultZone: 'public',
  runtime: parseZones(zonesText(runtime)),
  permanent: parseZones(zonesText(permanent)),
})
const NETWORKS = [prefix('10.244.0.0/16'), prefix('fd00:244::/48')]
const WISH = { networks: NETWORKS, tunnelPorts: [8472], underlay: 'eth1' }
const BOUND = { trusted: NETWORKS.join(' '), publicPorts: '8472/udp' }
const SOURCES: Binding[] = NETWORKS.map((value) => ({ zone: 'trusted', kind: 'source', value }))

const commands = (...args: Parameters<typeof planFirewalld>): string[] =>
  commandsOf(planFirewalld(...args).steps).map((call) => call.join(' '))

describe('a firewalld', () => {
  test('of which nothing is known but its zones is read', () => {
    expect(
      parseZones(zonesText({ trusted: '10.0.0.0/8 fd00::/8', publicPorts: '80/tcp 8000-9000/udp' })),
    ).toEqual(
      new Map([
        [
          'public',
          { target: 'default', interfaces: ['eth1'], sources: [], ports: ['80/tcp', '8000-9000/udp'] },
        ],
        ['trusted', { target: 'ACCEPT', interfaces: [], sources: ['10.0.0.0/8', 'fd00::/8'], ports: [] }],
        ['work', { target: 'default', interfaces: ['eth0', 'eth2'], sources: [], ports: [] }],
      ]),
    )
    expect(parseZones('FirewallD is not running\n').get('trusted')).toBeUndefined()
  })

  test('is told the pod networks and the port, for now and for ever', () => {
    expect(commands(state(), WISH, [])).toEqual([
      '--zone=trusted --add-source=10.244.0.0/16 --add-source=fd00:244::/48',
      '--permanent --zone=trusted --add-source=10.244.0.0/16 --add-source=fd00:244::/48',
      '--zone=public --add-port=8472/udp',
      '--permanent --zone=public --add-port=8472/udp',
    ])
    expect(planFirewalld(state(), WISH, []).ours).toEqual([
      ...SOURCES,
      { zone: 'public', kind: 'port', value: '8472/udp' },
    ])
  })

  test('is told nothing where all is there, and only what is lacking else', () => {
    expect(planFirewalld(state(BOUND), WISH, SOURCES)).toEqual({ steps: [], ours: SOURCES, notes: [] })
    expect(commands(state(BOUND, {}), WISH, [])).toEqual([
      '--permanent --zone=trusted --add-source=10.244.0.0/16 --add-source=fd00:244::/48',
      '--permanent --zone=public --add-port=8472/udp',
    ])
    expect(commands(state({ ...BOUND, publicPorts: '8000-9000/udp' }), WISH, [])).toEqual([])
    expect(commands(state({ ...BOUND, publicPorts: '', target: 'ACCEPT' }), WISH, [])).toEqual([])
    expect(commands(state(BOUND), { ...WISH, underlay: 'eth9' }, [])).toEqual([])
    expect(commands(state(BOUND), { ...WISH, underlay: 'eth2' }, [])).toEqual([
      '--zone=work --add-port=8472/udp',
      '--permanent --zone=work --add-port=8472/udp',
    ])
  })

  test('keeps a zone that somebody else has chosen for the pod network, which is said', () => {
    const plan = planFirewalld(
      state({ work: '10.244.0.0/16', publicPorts: '8472/udp' }),
      { ...WISH, networks: NETWORKS.slice(0, 1) },
      [],
    )
    expect(plan).toMatchObject({ steps: [], ours: [] })
    expect(plan.notes).toEqual([expect.stringContaining('zone work has source 10.244.0.0/16')])
    const steps = (zones: Parameters<typeof state>[0]) =>
      planFirewalld(
        state({ publicPorts: '8472/udp', ...zones }),
        { ...WISH, networks: NETWORKS.slice(0, 1) },
        [],
      ).steps.length
    for (const source of ['10.0.0.0/8', '10.244.7.0/24'])
      expect([source, steps({ work: source })]).toEqual([source, 0])
    expect(steps({ trusted: '10.0.0.0/8' })).toBe(0)
    for (const source of ['10.244.7.0/24', '10.245.0.0/16', 'ipset:pods', '02:00:00:00:00:01'])
      expect([source, steps({ trusted: source })]).toEqual([source, 2])
  })

  test('is relieved of what was made and is not wanted any more, and of nothing else', () => {
    const former: Binding = { zone: 'trusted', kind: 'source', value: '10.1.0.0/16' }
    const gone: Binding = { zone: 'gone', kind: 'port', value: '1/udp' }
    const have = state({ ...BOUND, trusted: `${BOUND.trusted} 10.1.0.0/16 10.2.0.0/16` }, BOUND)
    expect(commands(have, WISH, [...SOURCES, former, gone])).toEqual([
      '--zone=trusted --remove-source=10.1.0.0/16',
    ])
    expect(planFirewalld(have, WISH, [...SOURCES, former]).ours).toEqual(SOURCES)
    expect(commandsOf(planRemoval(have, [...SOURCES, former, gone])).map((call) => call.join(' '))).toEqual([
      '--zone=trusted --remove-source=10.244.0.0/16 --remove-source=fd00:244::/48 --remove-source=10.1.0.0/16',
      '--permanent --zone=trusted --remove-source=10.244.0.0/16 --remove-source=fd00:244::/48',
    ])
  })

  test('opens a port by itself, in a range, and of UDP alone', () => {
    const zone = (ports: string[]) => ({ target: 'default', interfaces: [], sources: [], ports })
    expect(opens(zone(['8472/udp']), 8472)).toBe(true)
    expect(opens(zone(['8472/tcp', '8471/udp', '8473-9000/udp']), 8472)).toBe(false)
  })
})
