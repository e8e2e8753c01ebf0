// What the FDB carrier hears right after a batch of its own: all that others did, nothing of its own doing.
import { expect, test } from 'bun:test'
import { type DataplaneHost, dataplaneHost, SCOPE } from '../../../test/support/dataplane.ts'
import { ip, mac } from '../../../test/support/values.ts'
import { fdbEntry, type FdbEntry } from '../../model/kernel.ts'
import type { Change } from '../carrier.ts'
import { FdbCarrier } from './fdb.ts'
import { Rtnetlink } from './rtnetlink.ts'

const entry = (n: number, dst = `192.168.1.${n}`): FdbEntry =>
  fdbEntry({ link: 'flannel.1', mac: mac(`02:00:00:00:00:0${n}`), dst: ip(dst) })
const put = (want: FdbEntry, have?: FdbEntry): Change<FdbEntry> => ({ op: 'put', want, have })

/** A carrier on a device that is up, which has heard of everything. */
async function carrierOn(host: DataplaneHost, stack: DisposableStack): Promise<FdbCarrier> {
  await host.sh('ip link add flannel.1 type vxlan id 1 dstport 8472 dev eth0; ip link set flannel.1 up')
  const carrier = new FdbCarrier(stack.use(Rtnetlink.open(SCOPE, host.namespace)))
  carrier.heard()
  return carrier
}
const heard = (carrier: FdbCarrier) =>
  carrier.heard().map((hint) => (hint.kind === 'seen' ? [hint.key, hint.have?.dst] : [hint.kind]))
const [ONE, TWO, THREE] = [1, 2, 3].map((n) => `flannel.1|02:00:00:00:00:0${n}`)

test('a batch of its own is no news', async () => {
  await using host = await dataplaneHost()
  using stack = new DisposableStack()
  const carrier = await carrierOn(host, stack)
  const results = await carrier.apply([1, 2, 3].map((n) => put(entry(n))))
  expect(results.map(({ kind }) => kind)).toEqual(['done', 'done', 'done'])
  expect(heard(carrier)).toEqual([])
  await carrier.apply([put(entry(1, '192.168.7.7'), entry(1))])
  expect(heard(carrier)).toEqual([])
})

test('what others did before it is heard, whatever the batch made of it', async () => {
  await using host = await dataplaneHost()
  using stack = new DisposableStack()
  const carrier = await carrierOn(host, stack)
  host.shAtOnce(
    `bridge fdb add 02:00:00:00:00:03 dev flannel.1 dst 192.168.9.9
     bridge fdb add 02:00:00:00:00:01 dev flannel.1 dst 192.168.9.9`,
  )
  await carrier.apply([put(entry(1)), put(entry(2))])
  expect(heard(carrier)).toEqual([
    [THREE, ip('192.168.9.9')],
    [ONE, ip('192.168.9.9')],
  ])
})

test('what others did after it is heard, though it shows what had been put', async () => {
  await using host = await dataplaneHost()
  using stack = new DisposableStack()
  const carrier = await carrierOn(host, stack)
  await carrier.apply([put(entry(1)), put(entry(2))])
  expect(heard(carrier)).toEqual([])
  host.shAtOnce(
    `bridge fdb del 02:00:00:00:00:02 dev flannel.1
     bridge fdb add 02:00:00:00:00:02 dev flannel.1 dst 192.168.1.2`,
  )
  expect(heard(carrier)).toEqual([
    [TWO, undefined],
    [TWO, ip('192.168.1.2')],
  ])
})

test('where something of the batch was refused, all of it is heard', async () => {
  await using host = await dataplaneHost()
  using stack = new DisposableStack()
  const carrier = await carrierOn(host, stack)
  const results = await carrier.apply([put(entry(1)), put({ ...entry(2), link: 'flannel.9' })])
  expect(results.map(({ kind }) => kind)).toEqual(['done', 'blocked'])
  expect(heard(carrier)).toEqual([[ONE, ip('192.168.1.1')]])
})
