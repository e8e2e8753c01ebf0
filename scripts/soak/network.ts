// Two hosts with a pod each, for the counts that need no more.
import { Flanneld } from '../../test/support/flanneld.ts'
import { eventually } from '../../test/support/process.ts'
import { Segment, type Pod } from '../../test/support/segment.ts'
import { networkConfig, TestStore } from '../../test/support/stores.ts'

export interface Network extends AsyncDisposable {
  readonly segment: Segment
  readonly store: TestStore
  readonly flanneld: Flanneld
  readonly pods: readonly [Pod, Pod]
}

/** Two hosts, a pod each, that reach each other. The first host's flanneld is the caller's to end. */
export async function network(type: string): Promise<Network> {
  await using stack = new AsyncDisposableStack()
  const segment = stack.use(await Segment.create(2))
  const store = stack.use(await TestStore.start('etcd', segment, networkConfig({ Type: type })))
  const flanneld = stack.use(await Flanneld.start(segment.host(1), store, { args: ['--ip-masq'] }))
  stack.use(await Flanneld.start(segment.host(2), store))
  const pods = [await segment.host(1).pod(), await segment.host(2).pod()] as const
  await eventually('the pods reach each other', async () => (await pods[0].reaches(pods[1].ip)) || undefined)
  const owned = stack.move()
  return { segment, store, flanneld, pods, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
