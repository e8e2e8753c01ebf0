// What the rtnetlink carriers have in common: hints in a queue, and changes as one batch.
import { isMissing, type NetlinkError } from '../../netlink/error.ts'
import type { Message } from '../../netlink/wire.ts'
import { blocked, type Carrier, type Change, done, failed, type Hint, type Result } from '../carrier.ts'
import type { Witness } from '../witness.ts'
import { batchWithWays, type GatewayPut } from './gateway-way.ts'
import { HintQueue } from './hint-queue.ts'
import type { Ear, Rtnetlink } from './rtnetlink.ts'

export abstract class RtnetlinkCarrier<T> implements Carrier<T>, Ear {
  readonly types: readonly number[]
  protected readonly session: Rtnetlink
  protected readonly queue = new HintQueue<T>()

  /** `types`: the notifications to hear. */
  constructor(session: Rtnetlink, types: readonly number[]) {
    this.session = session
    this.types = types
    session.listen(this)
  }

  abstract dump(signal: AbortSignal, witness?: Witness): Promise<readonly T[]>
  abstract apply(changes: readonly Change<T>[], signal: AbortSignal): Promise<readonly Result[]>
  abstract hear(type: number, body: Uint8Array): void

  attend(link: string): void {
    this.session.attend(link)
  }
  overrun(): void {
    this.queue.push({ kind: 'everything', reason: 'notifications were lost' })
  }
  ready(signal: AbortSignal): Promise<boolean> {
    return this.queue.ready(signal)
  }
  heard(): readonly Hint<T>[] {
    this.session.hear()
    return this.queue.take()
  }

  /** A notification of one object; undefined where it shows none that could be ours any more. */
  protected see(key: string, put: boolean, object: T | undefined): void {
    const have = put ? object : undefined
    this.queue.push(
      have === undefined ? { kind: 'seen', key, have, was: object } : { kind: 'seen', key, have },
    )
  }

  /** Sends the messages of all changes that can be tried; `prepare` gives a result instead where one can't. */
  protected batch<C>(
    changes: readonly C[],
    prepare: (change: C) => Message | GatewayPut | Result,
    judge: (change: C, error: NetlinkError | undefined) => Result,
  ): Result[] {
    const prepared = changes.map(prepare)
    const sending = prepared.filter(isAttempt)
    const errors = batchWithWays(
      this.session.socket,
      sending.map((attempt) => ('message' in attempt ? attempt : { message: attempt })),
    )
    let sent = 0
    return changes.map((change, index) => {
      const attempt = prepared[index]
      if (attempt === undefined) return failed('nothing was prepared for it')
      return isAttempt(attempt) ? judge(change, errors[sent++]) : attempt
    })
  }
}

/** Carries what lives on one link each: put or removed by one message that names the link by its index. */
export abstract class OnLinkCarrier<T extends { readonly link: string }> extends RtnetlinkCarrier<T> {
  protected abstract put(object: T, linkIndex: number): Message
  protected abstract remove(object: T, linkIndex: number): Message

  async apply(changes: readonly Change<T>[]): Promise<readonly Result[]> {
    return this.batch(
      changes,
      (change): Message | Result => {
        const object = change.op === 'put' ? change.want : change.have
        const linkIndex = this.session.indexOf(object.link)
        // With its link it went too.
        if (linkIndex === undefined) return change.op === 'put' ? noLink(object.link) : done
        return change.op === 'put' ? this.put(object, linkIndex) : this.remove(object, linkIndex)
      },
      (change, error) => (change.op === 'put' ? putResult(error, change.want.link) : removeResult(error)),
    )
  }
}

const isAttempt = (attempt: Message | GatewayPut | Result): attempt is Message | GatewayPut =>
  !('kind' in attempt)

export const noLink = (link: string): Result => blocked(link, `there is no link ${link}`)

/** What the kernel's answer to a put means for an object that lives on `link`. */
export function putResult(error: NetlinkError | undefined, link: string): Result {
  if (error === undefined) return done
  // Gone, or set down, since we last heard of it: the notification that says so is on its way.
  if (error.errnoName === 'ENODEV') return noLink(link)
  if (error.errnoName === 'ENETDOWN') return blocked(link, `link ${link} is down`)
  return failed(error.message)
}

/** What the kernel's answer to a removal means: gone already is done. */
export function removeResult(error: NetlinkError | undefined): Result {
  if (error === undefined) return done
  const { message } = error
  return isMissing(error) ? done : failed(message)
}
