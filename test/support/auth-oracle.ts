// The users of the embedded store beside those of a real etcd: the same scripts run on both, and every answer is
// compared.
import { deepStrictEqual } from 'node:assert/strict'
import * as fc from 'fast-check'
import { Channel } from '../../src/store/etcd/channel.ts'
import type { Method } from '../../src/store/etcd/call.ts'
import { EtcdError } from '../../src/store/etcd/error.ts'
import { step, USERS, type As, type Step } from './auth-script.ts'
import { Auth, Cluster, KV, Lease, Maintenance, Watch } from './etcd-api.ts'
import { view } from './etcd-oracle.ts'
import type { EtcdServer } from './etcd.ts'

/** A server, asked by users one after the other. */
export class AuthSide implements Disposable {
  readonly #channel: Channel
  readonly #signal = AbortSignal.timeout(600_000)
  readonly #tokens = new Map<As, string>([['stranger', 'abcdefghijklmnop.7']])

  constructor(endpoint: string) {
    this.#channel = new Channel({ endpoints: [endpoint] })
  }

  /** What `as` sees of the answer: the message or the status, whichever it is. */
  async ask({ as, request }: Step): Promise<unknown> {
    try {
      return view(await this.#ask(as, request), () => undefined)
    } catch (error) {
      if (error instanceof EtcdError) return { status: error.status, detail: error.detail }
      throw error
    }
  }

  /** The first answer to the first message of a call. */
  async call<I, O>(as: As, method: Method<I, O>, message: I): Promise<O> {
    const token = this.#tokens.get(as)
    using call = await this.#channel.stream(method, token === undefined ? {} : { token }, this.#signal)
    call.send(message)
    // A watch ends with its requests' end in etcd, before it has answered.
    if (method.name !== 'Watch') call.end()
    for await (const answer of call.messages()) return answer
    throw new Error(`${method.name} ended without an answer`)
  }

  [Symbol.dispose](): void {
    this.#channel[Symbol.dispose]()
  }

  async #ask(as: As, request: Step['request']): Promise<unknown> {
    switch (request.kind) {
      case 'login': {
        const { user, password = user } = request
        const { token } = await this.call('nobody', Auth.authenticate, { name: user, password })
        this.#tokens.set(user, token)
        return 'logged in'
      }
      case 'enable':
        return this.call(as, Auth.authEnable, {})
      case 'disable':
        return this.call(as, Auth.authDisable, {})
      case 'authStatus': {
        // The revision counts what was changed without effect, and what etcd does for itself.
        const { enabled } = await this.call(as, Auth.authStatus, {})
        return { enabled }
      }
      case 'userList':
        return this.call(as, Auth.userList, {})
      case 'roleList':
        return this.call(as, Auth.roleList, {})
      case 'changePassword':
        return this.call(as, Auth.userChangePassword, { name: request.name, password: request.password })
      case 'permitNothing':
        return this.call(as, Auth.roleGrantPermission, { name: 'r1' })
      case 'userAdd':
        return this.call(as, Auth.userAdd, { name: request.name, options: { noPassword: true } })
      case 'userDelete':
        return this.call(as, Auth.userDelete, { name: request.name })
      case 'userGet':
        return this.call(as, Auth.userGet, { name: request.name })
      case 'userGrant':
        return this.call(as, Auth.userGrantRole, { user: request.user, role: request.role })
      case 'userRevoke':
        return this.call(as, Auth.userRevokeRole, { name: request.user, role: request.role })
      case 'roleAdd':
        return this.call(as, Auth.roleAdd, { name: request.name })
      case 'roleDelete':
        return this.call(as, Auth.roleDelete, { role: request.name })
      case 'roleGet':
        return this.call(as, Auth.roleGet, { role: request.name })
      case 'permit': {
        const { role, key, rangeEnd, permType } = request
        return this.call(as, Auth.roleGrantPermission, { name: role, perm: { permType, key, rangeEnd } })
      }
      case 'forbid': {
        const { role, key, rangeEnd } = request
        return this.call(as, Auth.roleRevokePermission, { role, key, rangeEnd })
      }
      case 'range':
        return this.call(as, KV.range, request.request)
      case 'put':
        return this.call(as, KV.put, request.request)
      case 'delete':
        return this.call(as, KV.deleteRange, request.request)
      case 'txn':
        return this.call(as, KV.txn, request.request)
      case 'compact':
        return this.call(as, KV.compact, { revision: request.revision })
      case 'watch':
        return this.call(as, Watch.watch, { requestUnion: { case: 'createRequest', value: request.request } })
      case 'grant':
        return this.call(as, Lease.leaseGrant, { ID: request.id, TTL: 1000n })
      case 'revoke':
        return this.call(as, Lease.leaseRevoke, { ID: request.id })
      case 'renew':
        return this.call(as, Lease.leaseKeepAlive, { ID: request.id })
      case 'look':
      case 'lookKeys':
        return this.call(as, Lease.leaseTimeToLive, { ID: request.id, keys: request.kind === 'lookKeys' })
      case 'leases':
        return this.call(as, Lease.leaseLeases, {})
      case 'alarms':
        return this.call(as, Maintenance.alarm, {})
      case 'status':
        await this.call(as, Maintenance.status, {})
        return 'told'
      case 'members':
        await this.call(as, Cluster.memberList, {})
        return 'told'
    }
  }
}

/** Asks both the same; throws where they differ. */
export class AuthPair implements Disposable {
  readonly #theirs: AuthSide
  readonly #ours: AuthSide

  constructor(etcd: EtcdServer, embedded: EtcdServer) {
    this.#theirs = new AuthSide(etcd.endpoint)
    this.#ours = new AuthSide(embedded.endpoint)
  }

  async ask(one: Step): Promise<unknown> {
    const [expected, actual] = await Promise.all([this.#theirs.ask(one), this.#ours.ask(one)])
    deepStrictEqual(actual, expected)
    return actual
  }

  /** The users of the scripts, with their passwords. */
  async addUsers(): Promise<void> {
    for (const side of [this.#theirs, this.#ours]) {
      for (const name of USERS) await side.call('nobody', Auth.userAdd, { name, password: name })
    }
  }

  /** However the last script left them: users are enabled, and all have logged in. */
  async enable(): Promise<void> {
    await this.ask({ as: 'root', request: { kind: 'login', user: 'root' } })
    await this.ask({ as: 'root', request: { kind: 'userGrant', user: 'root', role: 'root' } })
    await this.ask({ as: 'root', request: { kind: 'enable' } })
    for (const user of USERS) await this.ask({ as: user, request: { kind: 'login', user } })
  }

  [Symbol.dispose](): void {
    this.#theirs[Symbol.dispose]()
    this.#ours[Symbol.dispose]()
  }
}

/** Runs so many random scripts on both, which start empty; throws fast-check's report at the first difference. */
export async function compareUsersWithEtcd(
  etcd: EtcdServer,
  embedded: EtcdServer,
  runs: number,
): Promise<void> {
  using pair = new AuthPair(etcd, embedded)
  await pair.addUsers()
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), async (script) => {
      await pair.enable()
      for (const one of script) await pair.ask(one)
    }),
    // The servers go on from where a script left them, so a failing one can't be run again.
    { numRuns: runs, endOnFailure: true },
  )
}
