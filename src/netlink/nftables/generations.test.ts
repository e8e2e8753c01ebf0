// One event a transaction, whatever was in it, and none of the rest reaches this process.
import { expect, test } from 'bun:test'
import { kernel } from '../../../test/support/kernel.ts'
import { NetlinkSocket } from '../socket.ts'
import { generation, openGenerations } from './generations.ts'
import { NFT_MSG } from './header.ts'

test('ten thousand rules of somebody else are one event', async () => {
  await using host = await kernel()
  using generations = openGenerations(host.namespace)
  await host.sh(`
    { echo 'table ip kube-proxy {'
      echo ' chain c {'
      for i in $(seq 10000); do echo "  ip saddr 10.0.$((i / 250)).$((i % 250)) accept"; done
      echo ' }'
      echo '}'
    } | nft -f -`)
  expect(await host.sh('nft list table ip kube-proxy | grep -c accept')).toBe('10000\n')
  await host.sh('nft delete table ip kube-proxy')
  const types: number[] = []
  while (types.length < 2 && (await generations.ready(AbortSignal.timeout(5000))))
    for (const event of generations.take()) types.push(event.kind === 'message' ? event.type : -1)
  await new Promise(setImmediate)
  expect(types).toEqual([NFT_MSG.newGeneration, NFT_MSG.newGeneration])
  expect(generations.received).toBe(2)
})

test('the generation is another one after a transaction of anybody’s, and only then', async () => {
  await using host = await kernel()
  using socket = NetlinkSocket.open('netfilter', host.namespace)
  const first = generation(socket)
  await host.sh('nft list ruleset')
  expect(generation(socket)).toBe(first)
  await host.sh('nft add table ip somebody')
  const second = generation(socket)
  expect(second).not.toBe(first)
  await host.sh('nft flush ruleset')
  expect([first, second]).not.toContain(generation(socket))
})
