// /sys shows the links of the network namespace it was mounted in, so a command in another one needs a mount of its
// own, as `ip netns exec` makes it (ip-netns(8)).
import { CLONE_NEWNS, isSysError, mount, MS, unshare } from '../sys/libc.ts'

/**
 * From here on this thread, and what it starts, has a mount namespace of its own, with a /sys of the network namespace
 * it is in. Where a machine allows that not even to root (a container's seccomp filter), /sys stays as it is.
 */
export function enterOwnSysfs(): void {
  if (!isAllowed(() => unshare(CLONE_NEWNS))) return
  // What is mounted on the machine comes along; what is mounted here stays here.
  mount('none', '/', 'none', MS.slave | MS.rec)
  // One that may only be read, as in containers, may not be mounted otherwise by a user's root.
  if (!isAllowed(() => mount('sysfs', '/sys', 'sysfs', MS.noExec)))
    isAllowed(() => mount('sysfs', '/sys', 'sysfs', MS.noExec | MS.readOnly))
}

function isAllowed(act: () => void): boolean {
  try {
    act()
    return true
  } catch (error) {
    if (isSysError(error, 'EPERM', 'EACCES', 'EBUSY')) return false
    throw error
  }
}
