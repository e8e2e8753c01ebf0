// etcd's Auth service: users, roles, and logging in.
import { log } from '../../../sys/log.ts'
import { NO_PASSWORD_FITS, hashPassword } from '../auth/password.ts'
import { ROOT, type Accounts } from '../auth/accounts.ts'
import type { Permission } from '../auth/permissions.ts'
import type { Engine } from '../engine.ts'
import { Permission_Type } from '../gen/authpb/auth_pb.ts'
import { Auth, type AuthUserAddRequest } from '../gen/etcdserverpb/rpc_pb.ts'
import { unary, type Route, type UnaryCall } from '../grpc/grpc-server.ts'
import { refusal } from '../grpc/rpc-error.ts'
import type { Header } from '../file/identity.ts'

const logger = log.from('store.ts')

/** What role `root` may do, whatever was granted to it. */
const ROOT_PERMISSION: Permission = {
  type: Permission_Type.READWRITE,
  key: new Uint8Array(0),
  rangeEnd: Uint8Array.of(0),
}

export function authRoutes(engine: Engine): Route[] {
  const { auth, identity, queue, revisions } = engine
  const { accounts, gate } = auth
  const header = (): Header => identity.header(revisions.revision)
  /** A change that root alone may make; `done` is said in the log. */
  const change = async (
    { caller }: UnaryCall,
    apply: (accounts: Accounts) => void,
    done: string,
    committed: () => void = () => undefined,
  ): Promise<{ header: Header }> => {
    await queue.submit(() => {
      gate.requireAdmin(caller)
      apply(accounts)
    }, committed)
    logger.info(done)
    return { header: header() }
  }
  const passwordOf = ({ password, options }: AuthUserAddRequest): Promise<string> | undefined =>
    options?.noPassword === true ? undefined : hashPassword(password)

  return [
    unary(Auth.method.authEnable, (_, call) =>
      change(call, (to) => to.enable(), 'users are enabled: who calls has to log in'),
    ),
    unary(Auth.method.authDisable, (_, call) =>
      change(
        call,
        (to) => to.disable(),
        'users are disabled: whoever reaches the store may do everything',
        () => auth.tokens.clear(),
      ),
    ),
    unary(Auth.method.authStatus, (_, { caller }) => {
      gate.requireAdmin(caller)
      return { header: header(), enabled: accounts.enabled, authRevision: accounts.revision }
    }),
    unary(Auth.method.authenticate, async ({ name, password }) => {
      if (!accounts.enabled) throw refusal('authNotEnabled')
      const kept = accounts.users.get(name)?.password
      const fits = await auth.logins.fits(name, password, kept)
      // The password, or whether there are users at all, may have changed meanwhile.
      if (!accounts.enabled) throw refusal('authNotEnabled')
      if (!fits || accounts.users.get(name)?.password !== kept) {
        logger.warning(`refused to log in ${JSON.stringify(name)}: no such user, or another password`)
        throw refusal('authFailed')
      }
      return { header: header(), token: auth.tokens.assign(name) }
    }),

    unary(Auth.method.userAdd, async (request, call) => {
      gate.requireAdmin(call.caller)
      const password = await passwordOf(request)
      return change(call, (to) => to.addUser(request.name, password), `added user ${request.name}`)
    }),
    unary(Auth.method.userDelete, ({ name }, call) =>
      change(
        call,
        (to) => to.deleteUser(name),
        `deleted user ${name}`,
        () => auth.forget(name),
      ),
    ),
    unary(Auth.method.userChangePassword, async ({ name, password }, call) => {
      gate.requireAdmin(call.caller)
      const hash = password === '' ? NO_PASSWORD_FITS : await hashPassword(password)
      return change(
        call,
        (to) => to.changePassword(name, hash),
        `changed the password of user ${name}`,
        () => auth.forget(name),
      )
    }),
    unary(Auth.method.userGrantRole, ({ user, role }, call) =>
      change(call, (to) => to.grantRole(user, role), `granted role ${role} to user ${user}`),
    ),
    unary(Auth.method.userRevokeRole, ({ name, role }, call) =>
      change(call, (to) => to.revokeRole(name, role), `revoked role ${role} from user ${name}`),
    ),
    unary(Auth.method.userGet, ({ name }, { caller }) => {
      gate.requireAdminOr(caller, (own) => own === name)
      return { header: header(), roles: [...accounts.existing(name).roles] }
    }),
    unary(Auth.method.userList, (_, { caller }) => {
      gate.requireAdmin(caller)
      return { header: header(), users: [...accounts.users.keys()] }
    }),

    unary(Auth.method.roleAdd, ({ name }, call) =>
      change(call, (to) => to.addRole(name), `added role ${name}`),
    ),
    unary(Auth.method.roleDelete, ({ role }, call) =>
      change(call, (to) => to.deleteRole(role), `deleted role ${role}`),
    ),
    unary(Auth.method.roleGrantPermission, ({ name, perm }, call) =>
      change(
        call,
        (to) =>
          to.grantPermission(name, perm && { type: perm.permType, key: perm.key, rangeEnd: perm.rangeEnd }),
        `granted a permission to role ${name}`,
      ),
    ),
    unary(Auth.method.roleRevokePermission, ({ role, key, rangeEnd }, call) =>
      change(
        call,
        (to) => to.revokePermission(role, key, rangeEnd),
        `revoked a permission from role ${role}`,
      ),
    ),
    unary(Auth.method.roleGet, ({ role }, { caller }) => {
      gate.requireAdminOr(caller, (_name, user) => user?.roles.includes(role) === true)
      const granted = accounts.roles.get(role)
      if (granted === undefined) throw refusal('roleNotFound')
      const perm = (role === ROOT ? [ROOT_PERMISSION] : granted).map(({ type, ...range }) => ({
        permType: type,
        ...range,
      }))
      return { header: header(), perm }
    }),
    unary(Auth.method.roleList, (_, { caller }) => {
      gate.requireAdmin(caller)
      return { header: header(), roles: [...accounts.roles.keys()] }
    }),
  ]
}
