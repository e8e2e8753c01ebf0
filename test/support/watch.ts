// A Watch call for tests: creates watches and collects responses, one at a time.
import { Channel, type ChannelOptions } from '../../src/store/etcd/channel.ts'
import type { Call } from '../../src/store/etcd/call.ts'
import type {
  WatchCreateRequestSchema,
  WatchRequestSchema,
  WatchResponse,
} from '../../src/store/embedded/gen/etcdserverpb/rpc_pb.ts'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { Watch } from './etcd-api.ts'

const SILENCE_MS = 150

export type CreateWatch = MessageInitShape<typeof WatchCreateRequestSchema>

type WatchCall = Call<MessageInitShape<typeof WatchRequestSchema>, WatchResponse>

export class TestWatch implements Disposable {
  readonly #channel: Channel
  readonly #call: WatchCall
  readonly #messages: AsyncGenerator<WatchResponse, void, undefined>
  #pending: Promise<IteratorResult<WatchResponse, void>> | undefined

  private constructor(channel: Channel, call: WatchCall) {
    this.#channel = channel
    this.#call = call
    this.#messages = call.messages()
  }

  static async open(
    endpoint: string,
    metadata: Readonly<Record<string, string>> = {},
    options: Omit<ChannelOptions, 'endpoints'> = {},
  ): Promise<TestWatch> {
    const channel = new Channel({ endpoints: [endpoint], ...options })
    return new TestWatch(channel, await channel.stream(Watch.watch, metadata, AbortSignal.timeout(60_000)))
  }

  /** Asks for a watch; its `created` response is the next to be read. */
  create(request: CreateWatch): void {
    this.#call.send({ requestUnion: { case: 'createRequest', value: request } })
  }

  cancel(watchId: bigint): void {
    this.#call.send({ requestUnion: { case: 'cancelRequest', value: { watchId } } })
  }

  askProgress(): void {
    this.#call.send({ requestUnion: { case: 'progressRequest', value: {} } })
  }

  /** No more requests. */
  end(): void {
    this.#call.end()
  }

  /** Undefined at the end of the call. */
  async next(): Promise<WatchResponse | undefined> {
    const { value } = await (this.#pending ?? this.#messages.next())
    this.#pending = undefined
    return value ?? undefined
  }

  /** Whether nothing comes for a moment. */
  async isSilent(): Promise<boolean> {
    this.#pending ??= this.#messages.next()
    const silence = new Promise<'silence'>((resolve) => setTimeout(() => resolve('silence'), SILENCE_MS))
    return (await Promise.race([this.#pending, silence])) === 'silence'
  }

  [Symbol.dispose](): void {
    this.#call[Symbol.dispose]()
    this.#channel[Symbol.dispose]()
  }
}

/** Events as text: `put key=value@revision`, with `(was value)` where a previous value came along. */
export function describeEvents(response: WatchResponse | undefined): string[] {
  const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('latin1')
  return (response?.events ?? []).map(({ type, kv, prevKv }) => {
    const what = type === 0 ? `put ${text(kv?.key)}=${text(kv?.value)}` : `delete ${text(kv?.key)}`
    return `${what}@${kv?.modRevision}${prevKv === undefined ? '' : ` (was ${text(prevKv.value)})`}`
  })
}
