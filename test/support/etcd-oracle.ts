// The embedded store beside a real etcd: the same scripts run on both, and every answer is compared.
import { deepStrictEqual } from 'node:assert/strict'
import type { MessageInitShape } from '@bufbuild/protobuf'
import * as fc from 'fast-check'
import { Channel } from '../../src/store/etcd/channel.ts'
import { EtcdError } from '../../src/store/etcd/error.ts'
import type {
  RangeRequestSchema,
  TxnRequestSchema,
} from '../../src/store/embedded/gen/etcdserverpb/rpc_pb.ts'
import { KV, Lease } from './etcd-api.ts'
import {
  command,
  NOT_GIVEN,
  type Command,
  type Compare,
  type OpScript,
  type RequestOp,
  type TxnScript,
} from './etcd-script.ts'
import { EtcdServer } from './etcd.ts'

/** Puts the revisions of a script in place. */
class Script {
  readonly #revision: bigint

  constructor(revision: bigint) {
    this.#revision = revision
  }

  at(distance: number): bigint {
    if (distance === NOT_GIVEN) return 0n
    const revision = this.#revision - BigInt(distance)
    return revision > 0n ? revision : 0n
  }

  range({
    request,
    back,
    bounds,
  }: Extract<Command, { kind: 'range' }>): MessageInitShape<typeof RangeRequestSchema> {
    const given = Object.entries(bounds).map(([name, distance]) => [name, this.at(distance)])
    return { ...request, revision: this.at(back), ...Object.fromEntries(given) }
  }

  txn({ compare, success, failure }: TxnScript): MessageInitShape<typeof TxnRequestSchema> {
    return {
      compare: compare.map((one) => this.#compare(one)),
      success: success.map((op) => this.#op(op)),
      failure: failure.map((op) => this.#op(op)),
    }
  }

  #compare({ compare, back }: TxnScript['compare'][number]): Compare {
    const operand = compare.targetUnion
    if (operand?.case !== 'modRevision' && operand?.case !== 'createRevision') return compare
    return { ...compare, targetUnion: { case: operand.case, value: this.at(back) } }
  }

  #op(op: OpScript): RequestOp {
    switch (op.kind) {
      case 'put':
        return { request: { case: 'requestPut', value: op.request } }
      case 'range':
        return { request: { case: 'requestRange', value: this.range(op) } }
      case 'delete':
        return { request: { case: 'requestDeleteRange', value: op.request } }
      case 'txn':
        return { request: { case: 'requestTxn', value: this.txn(op.request) } }
    }
  }
}

/** A server and the newest revision it told of. */
class Side {
  readonly #channel: Channel
  readonly #signal = AbortSignal.timeout(600_000)
  revision = 1n

  constructor(endpoint: string) {
    this.#channel = new Channel({ endpoints: [endpoint] })
  }

  /** What a client sees of the answer, apart from who gave it and how long it took. */
  async ask(command: Command): Promise<unknown> {
    try {
      return view(await this.#call(command, new Script(this.revision)), (revision) => {
        this.revision = revision > this.revision ? revision : this.revision
      })
    } catch (error) {
      if (error instanceof EtcdError) return { status: error.status, detail: error.detail }
      throw error
    }
  }

  #call(command: Command, script: Script): Promise<object> {
    const channel = this.#channel
    const signal = this.#signal
    switch (command.kind) {
      case 'put':
        return channel.unary(KV.put, command.request, signal)
      case 'range':
        return channel.unary(KV.range, { ...command.request, revision: script.at(command.back) }, signal)
      case 'delete':
        return channel.unary(KV.deleteRange, command.request, signal)
      case 'txn':
        return channel.unary(KV.txn, script.txn(command.request), signal)
      case 'compact': {
        const request = { revision: script.at(command.back), physical: command.physical }
        return channel.unary(KV.compact, request, signal)
      }
      case 'grant':
        return channel.unary(Lease.leaseGrant, { ID: command.id, TTL: command.ttl }, signal)
      case 'revoke':
        return channel.unary(Lease.leaseRevoke, { ID: command.id }, signal)
      case 'look':
        return channel.unary(Lease.leaseTimeToLive, { ID: command.id, keys: true }, signal)
      case 'leases':
        return channel.unary(Lease.leaseLeases, {}, signal)
    }
  }
}

const PRIVATE: ReadonlySet<string> = new Set(['clusterId', 'memberId', 'raftTerm', '$typeName', '$unknown'])

/** An answer without who gave it and how long it took; `saw` hears of each revision in it. */
export function view(answer: unknown, saw: (revision: bigint) => void): unknown {
  if (answer instanceof Uint8Array) return Buffer.from(answer).toString('latin1')
  if (Array.isArray(answer)) {
    const items = answer.map((item) => view(item, saw))
    return items
  }
  if (typeof answer !== 'object' || answer === null) return answer
  const entries: [string, unknown][] = []
  for (const [name, value] of Object.entries(answer)) {
    if (PRIVATE.has(name)) continue
    if (name === 'revision' && typeof value === 'bigint') saw(value)
    // Time passes between the two; whether there is any left doesn't change.
    if (name === 'TTL' && typeof value === 'bigint') entries.push([name, value > 0n])
    else if (name === 'leases' || name === 'keys') entries.push([name, sorted(view(value, saw))])
    else entries.push([name, view(value, saw)])
  }
  return Object.fromEntries(entries)
}

/** etcd lists leases and their keys in no order. */
function sorted(items: unknown): unknown {
  const text = (item: unknown): string =>
    JSON.stringify(item, (_, v: unknown) => (typeof v === 'bigint' ? `${v}` : v))
  return Array.isArray(items) ? items.map(text).toSorted() : items
}

/** Runs so many random scripts on both, which start empty; throws fast-check's report at the first difference. */
export async function compareWithEtcd(runs: number): Promise<void> {
  await using etcd = await EtcdServer.start('etcd', { inMemory: true })
  await using embedded = await EtcdServer.start('embedded', { inMemory: true })
  const [theirs, ours] = [new Side(etcd.endpoint), new Side(embedded.endpoint)]
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 40, size: 'max' }), async (script) => {
      for (const step of script) {
        const [expected, actual] = await Promise.all([theirs.ask(step), ours.ask(step)])
        deepStrictEqual(actual, expected)
      }
    }),
    // The servers go on from where a script left them, so a failing one can't be run again.
    { numRuns: runs, endOnFailure: true },
  )
}
