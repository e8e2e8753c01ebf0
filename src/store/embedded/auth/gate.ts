// Who may do what: the rules of etcd 3.6 (server/auth/store.go). While users are disabled everybody may do everything.
import { refusal } from '../grpc/rpc-error.ts'
import type { Caller } from '../grpc/caller.ts'
import { keyRange, type KeyRange } from '../keys/key-range.ts'
import type { Accounts, User } from './accounts.ts'
import type { Access } from './permissions.ts'
import type { Tokens } from './tokens.ts'

const EMPTY = new Uint8Array(0)

export class Gate {
  readonly #accounts: Accounts
  readonly #tokens: Tokens

  constructor(accounts: Accounts, tokens: Tokens) {
    this.#accounts = accounts
    this.#tokens = tokens
  }

  /** Nobody is let in by a bad token; who shows none may still be. */
  requireToken(caller: Caller): void {
    if (this.#accounts.enabled) this.#nameOf(caller)
  }

  requireUser(caller: Caller): void {
    if (this.#accounts.enabled && this.#nameOf(caller) === undefined) throw refusal('userEmpty')
  }

  requireAdmin(caller: Caller): void {
    if (!this.#accounts.enabled) return
    if (!this.#accounts.existing(this.#requireName(caller)).isRoot) throw refusal('permissionDenied')
  }

  /** For what a user may know of itself and its roles; who is nobody has no name and no roles. */
  requireAdminOr(caller: Caller, isOwn: (name: string, user: User | undefined) => boolean): void {
    if (!this.#accounts.enabled) return
    const name = this.#nameOf(caller) ?? ''
    if (isOwn(name, this.#accounts.users.get(name))) return
    this.requireAdmin(caller)
  }

  requireRange(caller: Caller, range: KeyRange, access: Access): void {
    if (!this.#accounts.enabled) return
    const user = this.#accounts.users.get(this.#requireName(caller))
    if (user?.isRoot === true || user?.grants.allows(range, access) === true) return
    throw refusal('permissionDenied')
  }

  /** Each of the keys by itself. */
  requireKeys(caller: Caller, keys: Iterable<Uint8Array>, access: Access): void {
    if (!this.#accounts.enabled) return
    if (this.#accounts.users.get(this.#requireName(caller))?.isRoot === true) return
    for (const key of keys) this.requireRange(caller, keyRange(key, EMPTY), access)
  }

  #requireName(caller: Caller): string {
    const name = this.#nameOf(caller)
    if (name === undefined || name === '') throw refusal('userEmpty')
    return name
  }

  /**
   * The user's name by token, else by certificate; undefined for one who showed neither. Refuses a token that isn't
   * known, as none is while users are disabled.
   */
  #nameOf({ token, certificateName }: Caller): string | undefined {
    if (token === undefined) return certificateName
    const name = this.#tokens.use(token)
    if (name === undefined) throw refusal('invalidAuthToken')
    return name
  }
}
