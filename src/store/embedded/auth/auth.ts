// The parts of users and roles, wired: accounts, logins, tokens, and the gates that ask for them.
import type { Database } from '../file/database.ts'
import { Accounts } from './accounts.ts'
import { Gate } from './gate.ts'
import { Logins } from './logins.ts'
import { RequestGate } from './requests.ts'
import { Tokens } from './tokens.ts'

export class Auth implements Disposable {
  readonly accounts: Accounts
  readonly logins = new Logins()
  readonly tokens: Tokens
  readonly gate: Gate
  readonly requests: RequestGate

  /** `keysOf` tells the keys of a lease. */
  constructor(database: Database, tokenTtlMs: number, keysOf: (lease: bigint) => Iterable<Uint8Array>) {
    this.accounts = new Accounts(database)
    this.tokens = new Tokens(tokenTtlMs)
    this.gate = new Gate(this.accounts, this.tokens)
    this.requests = new RequestGate(this.gate, keysOf)
  }

  /** Whoever was this user has to log in again. */
  forget(user: string): void {
    this.tokens.forget(user)
    this.logins.forget(user)
  }

  [Symbol.dispose](): void {
    this.tokens[Symbol.dispose]()
  }
}
