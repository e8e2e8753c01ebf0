// One host with a store of its own and a flanneld, for tests that share them.
import { Flanneld, type FlanneldOptions } from './flanneld.ts'
import { Segment, type Host } from './segment.ts'
import { networkConfig, TestStore } from './stores.ts'

export interface LoneHost extends AsyncDisposable {
  readonly host: Host
  readonly store: TestStore
  readonly flanneld: Flanneld
}

/** By VXLAN, with a real etcd, which `fill` may put something into before flanneld starts. */
export async function loneHost(
  fill: (store: TestStore) => void,
  options: FlanneldOptions = {},
): Promise<LoneHost> {
  await using stack = new AsyncDisposableStack()
  const segment = stack.use(await Segment.create(1))
  const host = segment.host(1)
  const store = stack.use(await TestStore.start('etcd', segment, networkConfig({ Type: 'vxlan' })))
  fill(store)
  const flanneld = stack.use(await Flanneld.start(host, store, options))
  const whole = stack.move()
  return { host, store, flanneld, [Symbol.asyncDispose]: () => whole.disposeAsync() }
}
