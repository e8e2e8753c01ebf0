// Restarts of one flanneld under traffic.
import { pause } from '../../bench/peers.ts'
import { Changes } from '../../test/support/changes.ts'
import { Flanneld } from '../../test/support/flanneld.ts'
import { Traffic } from '../../test/support/traffic.ts'
import { network } from './network.ts'
import { spread, type Tally } from './tally.ts'

/** By SIGKILL or SIGTERM, as the seed has it, with up to a second before the next start, and some starts cut short. */
export async function restarting(count: number, random: () => number, tally: Tally): Promise<void> {
  await using net = await network('vxlan')
  const host = net.segment.host(1)
  using changes = new Changes(host)
  await changes.quiet()
  await using traffic = await Traffic.start(net.pods[0].namespace, net.pods[1].ip)
  let flanneld = net.flanneld
  const readyMs: number[] = []
  for (let round = 0; round < count; round++) {
    await flanneld.end(random() < 0.5 ? 'SIGKILL' : 'SIGTERM')
    await pause(random())
    if (random() < 0.3) {
      await using halfway = Flanneld.launch(host, net.store, { args: ['--ip-masq'] })
      await pause(random() * 0.2)
      await halfway.end('SIGKILL')
    }
    const begun = performance.now()
    flanneld = await Flanneld.start(host, net.store, { args: ['--ip-masq'] })
    readyMs.push(performance.now() - begun)
  }
  const { sent, lost } = await traffic.stop()
  await flanneld.end()
  const made = await changes.take()
  tally.summary.push(
    `restarts: ${count}, ready after ${spread(readyMs)}; ${sent} packets sent, ${lost} lost; ${made.length} kernel changes`,
  )
  if (lost > 0) tally.failed.push(`restarts: ${lost} of ${sent} packets lost`)
  if (made.length > 0) tally.failed.push(`restarts: kernel changes: ${[...new Set(made)].join(', ')}`)
}
