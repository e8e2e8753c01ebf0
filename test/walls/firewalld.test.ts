// A real firewalld beside flanneld, as Debian brings it: pods reach one another though its zone takes no packets of
// theirs, through its reload and restart too, and it is as before once flannel is uninstalled.
import { expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flanneld } from '../support/flanneld.ts'
import { FLANNELD, HEDDLE } from '../support/executable.ts'
import { eventually, Running } from '../support/process.ts'
import { Segment } from '../support/segment.ts'
import { networkConfig, TestStore } from '../support/stores.ts'
import { Traffic } from '../support/traffic.ts'
import { Firewalld } from '../support/unpacked-root.ts'

setDefaultTimeout(120_000)

interface Walls {
  readonly blockers: readonly { readonly certainty: string; readonly way: string; readonly owner?: string }[]
  readonly firewalld?: { readonly accommodated: boolean; readonly why?: string }
}

/** Two hosts, the first behind a firewalld whose command is on its PATH. */
async function walled(type: 'vxlan' | 'host-gw') {
  await using stack = new AsyncDisposableStack()
  const segment = stack.use(await Segment.create(2))
  const [first, second] = [segment.host(1), segment.host(2)]
  const store = stack.use(await TestStore.start('etcd', segment, networkConfig({ Type: type })))
  const firewalld = stack.use(await Firewalld.start(first))
  const folder = mkdtempSync(join(tmpdir(), 'heddle-test-'))
  stack.defer(() => rmSync(folder, { recursive: true }))
  firewalld.root.expose('firewall-cmd', folder)
  const env = { PATH: `${folder}:${process.env['PATH']}` }
  const flanneld = stack.use(await Flanneld.start(first, store, { env }))
  stack.use(await Flanneld.start(second, store))
  const [here, there] = [await first.pod(), await second.pod()]
  const whole = stack.move()
  const walls = async () => (JSON.parse((await flanneld.ask('/status')).body) as { walls?: Walls }).walls
  return {
    store,
    firewalld,
    flanneld,
    here,
    there,
    env,
    walls,
    accommodated: () =>
      eventually(
        'firewalld is accommodated',
        async () => {
          const now = await walls()
          const isOpen = now?.firewalld?.accommodated === true && now.blockers.length === 0
          return isOpen || undefined
        },
        30,
      ),
    [Symbol.asyncDispose]: () => whole.disposeAsync(),
  }
}

test('firewalld lets pods through a tunnel, after its reload, its restart and a hand that took it back', async () => {
  await using host = await walled('vxlan')
  const { firewalld, flanneld, here, there } = host
  await host.accommodated()
  expect(await there.reaches(here.ip, 5)).toBe(true)
  expect(await here.reaches(there.ip, 5)).toBe(true)
  for (const where of ['', '--permanent ']) {
    expect(await firewalld.cmd(`${where}--zone=trusted --list-sources`)).toBe('10.244.0.0/16')
    expect(await firewalld.cmd(`${where}--zone=public --list-ports`)).toBe('8472/udp')
  }
  // While it reloads it takes no packet of a connection that it has not seen answered: VXLAN's never are.
  await firewalld.cmd('--reload')
  expect(await there.reaches(here.ip, 5)).toBe(true)
  await firewalld.restart()
  expect(await there.reaches(here.ip, 5)).toBe(true)
  expect(await here.reaches(there.ip, 5)).toBe(true)
  // None of that needed flanneld: it was told once.
  expect(flanneld.process.matching(/firewalld was told/)).toHaveLength(1)
  await firewalld.cmd('--zone=trusted --remove-source=10.244.0.0/16')
  await flanneld.process.line(/firewalld was told/, {
    withinSeconds: 30,
    from: flanneld.process.lines.findIndex((line) => line.includes('firewalld was told')) + 1,
  })
  expect(await firewalld.cmd('--zone=trusted --list-sources')).toBe('10.244.0.0/16')
})

test('firewalld loses no packet of pods that are routed, while it reloads and restarts; and an uninstall leaves it as it was', async () => {
  await using host = await walled('host-gw')
  const { firewalld, flanneld, store, here, there } = host
  await host.accommodated()
  {
    await using traffic = await Traffic.start(there.namespace, here.ip)
    await firewalld.cmd('--reload')
    await firewalld.restart()
    const { lost } = await traffic.stop()
    expect(lost).toBe(0)
  }
  expect(await firewalld.cmd('--zone=public --list-ports')).toBe('')
  await flanneld.end()
  {
    await using silent = await Flanneld.start(flanneld.host, store, { args: ['--firewalld=off'] })
    const said = await silent.process.line(/firewalld keeps what it was told before/)
    expect(said).toContain(
      'firewall-cmd --permanent --zone=trusted --remove-source=10.244.0.0/16; firewall-cmd --reload',
    )
    await silent.end()
  }
  await using uninstall = Running.start(
    HEDDLE,
    [
      'uninstall',
      '--',
      `--subnet-file=${flanneld.host.subnetFile}`,
      `--state-dir=${flanneld.host.stateDir}`,
      '--status-socket=',
      '--config-file=',
      '--etcd-endpoints=http://127.0.0.1:1',
    ],
    { namespace: flanneld.host.namespace, env: host.env },
  )
  await uninstall.ended
  expect(uninstall.matching(/firewalld/)).toEqual([
    'removed what firewalld was told: source 10.244.0.0/16 in zone trusted',
  ])
  for (const where of ['', '--permanent '])
    expect(await firewalld.cmd(`${where}--zone=trusted --list-sources`)).toBe('')
})

test('a firewalld that flanneld may not tell, or shall not, stays as it is, and what to type is said', async () => {
  await using segment = await Segment.create(1)
  await using store = await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' }))
  await using firewalld = await Firewalld.start(segment.host(1))
  const folder = mkdtempSync(join(tmpdir(), 'heddle-test-'))
  using _ = { [Symbol.dispose]: () => rmSync(folder, { recursive: true }) }
  // No firewall-cmd is there, whatever this machine has.
  const program = join(folder, 'flanneld')
  writeFileSync(program, `#!/bin/sh\nPATH=${folder} exec ${FLANNELD} "$@"\n`, { mode: 0o755 })
  const named =
    /IPv4 packets from pods here to pods of other hosts are rejected by rule \d+ .* inet firewalld/
  {
    await using flanneld = await Flanneld.start(segment.host(1), store, { program })
    const said = await flanneld.process.line(/firewalld runs here and isn't told/)
    expect(said).toContain('firewall-cmd --permanent --zone=trusted --add-source=10.244.0.0/16')
    expect(said).toContain('--add-port=8472/udp; firewall-cmd --reload')
    expect(await flanneld.process.line(named)).toContain(
      'to let them through: firewall-cmd --zone=trusted --add-source=10.244.0.0/16',
    )
    await flanneld.end()
  }
  firewalld.root.expose('firewall-cmd', folder)
  await using flanneld = await Flanneld.start(segment.host(1), store, {
    env: { PATH: `${folder}:${process.env['PATH']}` },
    args: ['--firewalld=off'],
  })
  await flanneld.process.line(named)
  const { walls } = JSON.parse((await flanneld.ask('/status')).body) as { walls: Walls }
  expect(walls.firewalld).toEqual({ accommodated: false, why: '--firewalld=off' })
  expect(await firewalld.cmd('--zone=trusted --list-sources')).toBe('')
})
