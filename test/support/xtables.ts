// For tests that run iptables: hosts whose legacy iptables take a lock of their own.
import { kernel, type TestHost } from './kernel.ts'

/** Instead of the host's lock, which is one file for all network namespaces; and no file that would be left behind. */
const NO_FILE = '/dev/null'

/** A fresh network namespace, and from now on this process and its children leave the host's xtables lock alone. */
export async function tablesHost(): Promise<TestHost> {
  process.env['XTABLES_LOCKFILE'] ??= NO_FILE
  return kernel()
}
