// flannel-compat 1.3: with which exit code flanneld ends, beside upstream on the same kernel and etcd. Where upstream
// gives up for what can still come, heddle says what it waits for. flags.test.ts has what the command line alone decides.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { buildUpstreamFlanneld } from '../../scripts/peers.ts'
import { Flanneld, type Make } from '../support/flanneld.ts'
import { Running } from '../support/process.ts'
import { Segment } from '../support/segment.ts'
import { CONFIG_KEY, networkConfig, TestStore } from '../support/stores.ts'

setDefaultTimeout(60_000)

describe('flannel-compat 1.3:', () => {
  const stack = new AsyncDisposableStack()
  let segment: Segment
  let store: TestStore
  beforeAll(async () => {
    buildUpstreamFlanneld()
    segment = stack.use(await Segment.create(2))
    store = stack.use(await TestStore.start('etcd', segment))
  }, 600_000)
  afterAll(() => stack.disposeAsync())

  const launch = (make: Make, config: string | undefined, ...args: string[]) => {
    if (config === undefined) store.delete(CONFIG_KEY)
    else store.put(CONFIG_KEY, config)
    return Flanneld.launch(segment.host(make === 'heddle' ? 1 : 2), store, { make, args })
  }
  const good = networkConfig({ Type: 'vxlan' })

  for (const make of ['heddle', 'upstream'] as const)
    test(`0: ${make}, stopped while it waits for the network config`, async () => {
      await using flanneld = launch(make, undefined)
      await flanneld.process.line(/Created subnet manager/)
      await new Promise((resolve) => setTimeout(resolve, 300))
      expect((await flanneld.end()).code).toBe(0)
    })

  // Upstream may hang then (weak point 47).
  test('0: stopped in its work', async () => {
    await using flanneld = launch('heddle', good)
    await flanneld.ready()
    expect((await flanneld.end()).code).toBe(0)
  })

  const reasons: readonly (readonly [string, string, RegExp])[] = [
    [
      'neither IP family enabled',
      networkConfig({ Type: 'vxlan' }, { EnableIPv4: false }),
      /neither EnableIPv4/,
    ],
    ['an unknown back end', networkConfig({ Type: 'pigeon' }), /no back end of type "pigeon"/],
  ]
  for (const [name, config, said] of reasons)
    test(`1: upstream, ${name}; heddle waits for a better config`, async () => {
      await using upstream = launch('upstream', config)
      expect((await upstream.process.ended).code).toBe(1)
      await using heddle = launch('heddle', config)
      await heddle.process.line(said)
      expect(heddle.process.running).toBe(true)
      expect((await heddle.end()).code).toBe(0)
    })

  test('weak point 37: 1: upstream, no usable interface; heddle waits for it', async () => {
    await using upstream = launch('upstream', good, '--iface=nothing0')
    expect((await upstream.process.ended).code).toBe(1)
    await using heddle = launch('heddle', good, '--iface=nothing0')
    await heddle.process.line(/nothing0/)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(heddle.process.running).toBe(true)
    expect((await heddle.end()).code).toBe(0)
  })

  test('weak point 48: 2: upstream panics where the health port is taken; heddle says so and goes on', async () => {
    const serve = `require('node:net').createServer().listen(8472, '127.0.0.1', () => console.log('taken'))`
    for (const make of ['upstream', 'heddle'] as const) {
      const { namespace } = segment.host(make === 'heddle' ? 1 : 2)
      await using other = Running.start(process.execPath, ['-e', serve], { namespace })
      await other.line(/taken/)
      await using flanneld = launch(make, good, '--healthz-ip=127.0.0.1', '--healthz-port=8472')
      if (make === 'upstream') expect((await flanneld.process.ended).code).toBe(2)
      else {
        await flanneld.process.line(/127\.0\.0\.1:8472/)
        await flanneld.ready()
      }
    }
  })
})
