// Linux error numbers by name (asm-generic/errno-base.h and errno.h: x86-64 and arm64 share them), and the
// error that a failed system call throws.

const NAMES = (
  '- EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY ' +
  'EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK ' +
  'EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG EIDRM ECHRNG EL2NSYNC ' +
  'EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT - EBFONT ENOSTR ' +
  'ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG ' +
  'EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ' +
  'ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP ' +
  'EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ' +
  'ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY ' +
  'EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY ' +
  'EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON'
).split(' ')

/** `EEXIST` for 17; `errno 4242` for a number that has no name. */
export const errnoName = (errno: number): string => {
  const name = NAMES[errno]
  return name === undefined || name === '-' ? `errno ${errno}` : name
}

/** The number of a name in the table; throws RangeError for a name that isn't there. */
export function errnoOf(name: string): number {
  const errno = NAMES.indexOf(name)
  if (errno < 1) throw new RangeError(`no error is called ${name}`)
  return errno
}

/** A system call that failed. `errnoName` is what to test. */
export class SysError extends Error {
  readonly code = 'sys'
  readonly errno: number
  readonly errnoName: string
  readonly syscall: string

  constructor(syscall: string, errno: number, subject: string, text: string) {
    super(`${syscall}${subject === '' ? '' : ` ${subject}`}: ${errnoName(errno)} (${text})`)
    this.name = 'SysError'
    this.errno = errno
    this.errnoName = errnoName(errno)
    this.syscall = syscall
  }
}

export const isSysError = (error: unknown, ...names: readonly string[]): error is SysError =>
  error instanceof SysError && (names.length === 0 || names.includes(error.errnoName))
