// Users and roles as the file keeps them, with a copy in memory. Changes are made inside the running SQLite
// transaction, after all that etcd would refuse has been refused (etcd server/auth/store.go).
import type { Database } from '../file/database.ts'
import type { Query } from '../file/sqlite.ts'
import type { Permission_Type as PermissionType } from '../gen/authpb/auth_pb.ts'
import { refusal } from '../grpc/rpc-error.ts'
import { Grants, isPermissionRange, type Permission } from './permissions.ts'

/** The user who can't be deleted and the role that may do everything, while users are enabled. */
export const ROOT = 'root'

export interface User {
  /** As hashed; undefined for one who comes with a certificate alone. */
  readonly password: string | undefined
  /** In order. */
  readonly roles: readonly string[]
  readonly isRoot: boolean
  readonly grants: Grants
}

interface PermissionRow {
  readonly role: string
  readonly key: Uint8Array
  readonly range_end: Uint8Array
  readonly type: bigint
}

export class Accounts {
  readonly #database: Database
  readonly #run: (sql: string, ...parameters: (string | number | Uint8Array | null)[]) => bigint
  #users: ReadonlyMap<string, User> = new Map()
  #roles: ReadonlyMap<string, readonly Permission[]> = new Map()
  #enabled = false
  #revision = 0n

  constructor(database: Database) {
    const queries = new Map<string, Query<never>>()
    this.#database = database
    this.#run = (sql, ...parameters) => {
      const query = queries.get(sql) ?? database.query<never>(sql)
      queries.set(sql, query)
      return query.run(...parameters)
    }
    this.reload()
  }

  /** While false, whoever reaches the store may do everything. */
  get enabled(): boolean {
    return this.#enabled
  }

  /** Counts the changes; 1 in a store without any, as in etcd. */
  get revision(): bigint {
    return this.#revision
  }

  get users(): ReadonlyMap<string, User> {
    return this.#users
  }

  get roles(): ReadonlyMap<string, readonly Permission[]> {
    return this.#roles
  }

  /** Takes everything from the file again: at start, after each change, and after an undone transaction. */
  reload(): void {
    const rows = <Row>(sql: string): Row[] => this.#database.query<Row>(sql).all()
    const roles = new Map<string, Permission[]>()
    for (const { name } of rows<{ name: string }>('SELECT name FROM role ORDER BY name')) roles.set(name, [])
    const permissions = rows<PermissionRow>('SELECT * FROM permission ORDER BY role, key, range_end')
    for (const { role, key, range_end: rangeEnd, type } of permissions) {
      roles.get(role)?.push({ type: Number(type) as PermissionType, key, rangeEnd })
    }
    const rolesOf = Map.groupBy(
      rows<{ user: string; role: string }>('SELECT user, role FROM user_role ORDER BY user, role'),
      ({ user }) => user,
    )
    const users = new Map<string, User>()
    for (const { name, password } of rows<{ name: string; password: string | null }>(
      'SELECT name, password FROM user ORDER BY name',
    )) {
      const own = (rolesOf.get(name) ?? []).map(({ role }) => role)
      users.set(name, {
        password: password ?? undefined,
        roles: own,
        isRoot: own.includes(ROOT),
        grants: new Grants(own.flatMap((role) => roles.get(role) ?? [])),
      })
    }
    this.#users = users
    this.#roles = roles
    this.#enabled = this.#database.meta('auth_enabled') === 1n
    this.#revision = this.#database.meta('auth_revision') ?? 1n
  }

  /** The user, or a refusal that names none. */
  existing(name: string): User {
    const user = this.#users.get(name)
    if (user === undefined) throw refusal('userNotFound')
    return user
  }

  enable(): void {
    if (this.#enabled) return
    const root = this.#users.get(ROOT)
    if (root === undefined) throw refusal('rootUserNotExist')
    if (!root.isRoot) throw refusal('rootRoleNotExist')
    this.#database.setMeta('auth_enabled', 1n)
    this.reload()
  }

  disable(): void {
    if (!this.#enabled) return
    this.#database.setMeta('auth_enabled', 0n)
    this.#changed()
  }

  addUser(name: string, password: string | undefined): void {
    if (name === '') throw refusal('userEmpty')
    if (this.#users.has(name)) throw refusal('userAlreadyExist')
    this.#run('INSERT INTO user VALUES (?, ?)', name, password ?? null)
    this.#changed()
  }

  deleteUser(name: string): void {
    if (this.#enabled && name === ROOT) throw refusal('invalidAuthMgmt')
    this.existing(name)
    this.#run('DELETE FROM user_role WHERE user = ?', name)
    this.#run('DELETE FROM user WHERE name = ?', name)
    this.#changed()
  }

  /** One who comes with a certificate alone goes on doing so. */
  changePassword(name: string, password: string): void {
    if (this.existing(name).password !== undefined) {
      this.#run('UPDATE user SET password = ? WHERE name = ?', password, name)
    }
    this.#changed()
  }

  grantRole(name: string, role: string): void {
    const user = this.existing(name)
    if (role !== ROOT) this.#existingRole(role)
    if (user.roles.includes(role)) return
    this.#run('INSERT INTO user_role VALUES (?, ?)', name, role)
    this.#changed()
  }

  revokeRole(name: string, role: string): void {
    if (this.#enabled && name === ROOT && role === ROOT) throw refusal('invalidAuthMgmt')
    if (!this.existing(name).roles.includes(role)) throw refusal('roleNotGranted')
    this.#run('DELETE FROM user_role WHERE user = ? AND role = ?', name, role)
    this.#changed()
  }

  addRole(name: string): void {
    if (name === '') throw refusal('roleEmpty')
    if (this.#roles.has(name)) throw refusal('roleAlreadyExist')
    this.#run('INSERT INTO role VALUES (?)', name)
    this.#changed()
  }

  deleteRole(name: string): void {
    if (this.#enabled && name === ROOT) throw refusal('invalidAuthMgmt')
    this.#existingRole(name)
    this.#run('DELETE FROM permission WHERE role = ?', name)
    this.#run('DELETE FROM user_role WHERE role = ?', name)
    this.#run('DELETE FROM role WHERE name = ?', name)
    this.#changed()
  }

  grantPermission(role: string, permission: Permission | undefined): void {
    if (permission === undefined) throw refusal('permissionNotGiven')
    const { key, rangeEnd, type } = permission
    if (!isPermissionRange(key, rangeEnd)) throw refusal('invalidAuthMgmt')
    this.#existingRole(role)
    this.#run('INSERT OR REPLACE INTO permission VALUES (?, ?, ?, ?)', role, key, rangeEnd, type)
    this.#changed()
  }

  revokePermission(role: string, key: Uint8Array, rangeEnd: Uint8Array): void {
    this.#existingRole(role)
    const revoked = this.#run(
      'DELETE FROM permission WHERE role = ? AND key = ? AND range_end = ?',
      role,
      key,
      rangeEnd,
    )
    if (revoked === 0n) throw refusal('permissionNotGranted')
    this.#changed()
  }

  #existingRole(name: string): void {
    if (!this.#roles.has(name)) throw refusal('roleNotFound')
  }

  #changed(): void {
    this.#database.setMeta('auth_revision', this.#revision + 1n)
    this.reload()
  }
}
