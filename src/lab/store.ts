// The lab's store: an embedded one in a namespace of the underlay, or a relay there to an etcd of this machine. Its
// config is put once; its leases are read for people.
import { parseLease, type Json } from '../model/lease.ts'
import { Channel } from '../store/etcd/channel.ts'
import { EtcdError } from '../store/etcd/error.ts'
import { keysUnder, oneKey, put, read, removeRange, transact, unchanged } from '../store/etcd/kv.ts'
import { CLONE_NEWNET, setns } from '../sys/libc.ts'
import type { LabDirectory } from './directory.ts'
import { LabError } from './error.ts'
import { executable } from './executable.ts'
import { endingUnder, isRunning, keepRunning } from './keep.ts'
import type { LabNamespaces } from './namespaces.ts'
import type { EtcdAddress, LabPlan } from './plan.ts'
import { lastLines, until } from './wait.ts'

const ANSWER_MS = 20_000
/** For an etcd that should be running already. */
const ETCD_MS = 5_000

/** As the lab's hosts reach it. */
export const storeEndpoint = (plan: LabPlan): string => `http://${storePlace(plan)}`

/** In an etcd that others use too, a lab keeps to keys of its own; `down` removes them. */
export const storePrefix = (plan: LabPlan, id: string): string =>
  plan.store.etcd === undefined ? '/coreos.com/network' : `/heddle-lab/${id}`

const storePlace = ({ store }: LabPlan): string => formatAddress({ host: store.address, port: store.port })

const formatAddress = ({ host, port }: EtcdAddress): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** Where etcd is reached, which is where the person types: before anything enters the lab. */
export async function ensureOuterRelay(
  directory: LabDirectory,
  id: string,
  plan: LabPlan,
  signal: AbortSignal,
): Promise<void> {
  if (plan.store.etcd === undefined) return
  const words = ['lab', 'relay', `unix:${directory.relaySocket}`, formatAddress(plan.store.etcd)]
  await keepRunning(directory, 'relay', { ...heddle(words), namespace: undefined, id }, signal)
}

/** The process that hosts talk to. */
export async function ensureStore(
  directory: LabDirectory,
  namespaces: LabNamespaces,
  id: string,
  plan: LabPlan,
  signal: AbortSignal,
): Promise<void> {
  const at = storePlace(plan)
  const words =
    plan.store.etcd === undefined
      ? ['store', '--data-dir', directory.store, '--listen', at, '--allow-plaintext']
      : ['lab', 'relay', at, `unix:${directory.relaySocket}`]
  await keepRunning(directory, 'store', { ...heddle(words), namespace: namespaces.get('store'), id }, signal)
}

const heddle = (words: readonly string[]) => ({
  file: executable.file,
  args: [...executable.prefix, ...words],
})

/**
 * From here on this thread lives where the lab's store does: connections are made some time after they are asked for,
 * so being there for a moment is not enough. Nothing in this process needs its old namespace any more.
 */
export function enterForGood(namespaces: LabNamespaces): void {
  setns(namespaces.get('store').fd, CLONE_NEWNET)
}

/** One family of a lease. */
export interface LeaseFact {
  readonly subnet: string
  readonly publicIp: string | undefined
  readonly backendType: string
  readonly backendData: Json | undefined
}

/** Talks to the lab's store; this thread must be where it is reached. */
export class StoreClient implements Disposable {
  readonly #channel: Channel
  readonly #prefix: string

  constructor(endpoint: string, prefix: string) {
    this.#channel = new Channel({ endpoints: [endpoint] })
    this.#prefix = prefix
  }

  /** Puts the network config unless it is there already. */
  async putConfig(config: string, signal: AbortSignal): Promise<void> {
    const key = `${this.#prefix}/config`
    const { keys } = await read(this.#channel, oneKey(key), signal)
    if (keys[0]?.value === config) return
    await transact(
      this.#channel,
      [unchanged(key, keys[0]?.modRevision ?? 0n)],
      [put(key, config, 0n)],
      signal,
    )
  }

  async leases(signal: AbortSignal): Promise<LeaseFact[]> {
    const under = `${this.#prefix}/subnets/`
    const { keys } = await read(this.#channel, keysUnder(under), signal)
    return keys.flatMap(({ key, value, createRevision }) => {
      const lease = parseLease(key.slice(under.length), value, createRevision)
      if (typeof lease === 'string') return []
      const halves = [lease.ipv4, lease.ipv6].filter((half) => half !== undefined)
      return halves.map((half) => ({ ...half, backendType: lease.backendType }))
    })
  }

  /** Removes every key of the lab's. */
  async removeAll(signal: AbortSignal): Promise<void> {
    await transact(this.#channel, [], [removeRange(keysUnder(`${this.#prefix}/`))], signal)
  }

  [Symbol.dispose](): void {
    this.#channel[Symbol.dispose]()
  }
}

/** Puts the config as soon as the store answers. */
export async function configureStore(
  directory: LabDirectory,
  plan: LabPlan,
  client: StoreClient,
  signal: AbortSignal,
): Promise<void> {
  let last = 'it has not been asked yet'
  const log = () => `; the end of its log:${lastLines(directory.log('store'))}`
  await until(
    async () => {
      if (!isRunning(directory, 'store'))
        throw new LabError('failed', `the store ended${await endingUnder(directory, 'store')}${log()}`)
      try {
        await client.putConfig(plan.config, signal)
        return true
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error
        last = error.message
        return undefined
      }
    },
    {
      deadlineMs: ANSWER_MS,
      signal,
      late: () => `the store does not answer after ${ANSWER_MS / 1000} s: ${last}${log()}`,
    },
  )
}

/** Whether an etcd of this machine answers, before a lab is begun that needs it. */
export async function checkEtcd(plan: LabPlan, signal: AbortSignal): Promise<void> {
  if (plan.store.etcd === undefined) return
  const { store } = plan.parameters
  using client = new StoreClient(`http://${formatAddress(plan.store.etcd)}`, '/heddle-lab')
  const deadline = AbortSignal.timeout(ETCD_MS)
  try {
    await client.leases(AbortSignal.any([signal, deadline]))
  } catch (error) {
    const why = error instanceof EtcdError ? error.detail : `no answer in ${ETCD_MS / 1000} s`
    if (error instanceof EtcdError || deadline.aborted)
      throw new LabError('failed', `--store ${store} can't be used: ${why}`, { cause: error })
    throw error
  }
}

/** The keys of a lab in an etcd that outlives it, removed from where the person types. */
export async function forgetLab(plan: LabPlan, id: string): Promise<void> {
  if (plan.store.etcd === undefined) return
  using client = new StoreClient(`http://${formatAddress(plan.store.etcd)}`, storePrefix(plan, id))
  await client.removeAll(AbortSignal.timeout(ETCD_MS))
}
