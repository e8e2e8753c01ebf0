// A busy host: something else keeps changing the kernel's tables.
import { putNeighbour } from '../../src/netlink/neighbour.ts'
import type { TestHost } from './kernel.ts'
import { ip, mac } from './values.ts'

const STEP_MS = 50

/** Changes neighbours on `link` at an even pace for a while; tells how many changes it made. Each one is notified. */
export async function neighbourChanges(
  host: TestHost,
  link: string,
  perSecond: number,
  seconds: number,
): Promise<number> {
  const linkIndex = host.index(link)
  const started = performance.now()
  let made = 0
  while (made < perSecond * seconds) {
    const due = Math.min(perSecond * seconds, ((performance.now() - started) / 1000) * perSecond)
    const messages = []
    for (; made < due; made++) messages.push(change(linkIndex, made))
    const failure = host
      .netlink()
      .batch(messages)
      .find((error) => error !== undefined)
    if (failure !== undefined) throw failure
    await new Promise((resolve) => setTimeout(resolve, STEP_MS))
  }
  return made
}

/** One of 200 addresses gets a MAC that it didn't have before. */
const change = (linkIndex: number, number: number) =>
  putNeighbour({ linkIndex, ip: ip(`192.168.100.${(number % 200) + 20}`), mac: mac(macText(number)) })

const macText = (number: number): string =>
  `02:99:${[24, 16, 8, 0].map((bits) => ((number >> bits) & 255).toString(16).padStart(2, '0')).join(':')}`
