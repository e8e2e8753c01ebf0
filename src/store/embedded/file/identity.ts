// Who answers: the ids made with the file, and the term, which counts the starts of the store.
import { randomBytes } from 'node:crypto'
import type { Database } from './database.ts'

export interface Header {
  readonly clusterId: bigint
  readonly memberId: bigint
  readonly raftTerm: bigint
  readonly revision: bigint
}

export class Identity {
  readonly clusterId: bigint
  readonly memberId: bigint
  readonly raftTerm: bigint

  private constructor(clusterId: bigint, memberId: bigint, raftTerm: bigint) {
    this.clusterId = clusterId
    this.memberId = memberId
    this.raftTerm = raftTerm
  }

  /** Begins a term, and makes the ids when the file is new. */
  static begin(database: Database): Identity {
    return database.transaction(() => {
      const id = (name: string): bigint => {
        const known = database.meta(name)
        if (known !== undefined) return BigInt.asUintN(64, known)
        const made = randomBytes(8).readBigInt64LE() || 1n
        database.setMeta(name, made)
        return BigInt.asUintN(64, made)
      }
      const raftTerm = (database.meta('raft_term') ?? 0n) + 1n
      database.setMeta('raft_term', raftTerm)
      return new Identity(id('cluster_id'), id('member_id'), raftTerm)
    })
  }

  header(revision: bigint): Header {
    return { clusterId: this.clusterId, memberId: this.memberId, raftTerm: this.raftTerm, revision }
  }
}
