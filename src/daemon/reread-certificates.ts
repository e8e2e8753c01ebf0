// The TLS files for etcd at SIGHUP: for what no watch sees, as files of a network file system.
import type { Report } from './report.ts'

/** Throws StoreError for files that don't work: the connection there is stays. */
export async function rereadCertificates({ store }: Report): Promise<string> {
  if (store === undefined) return 'nothing is connected yet'
  switch (await store.renewCertificates(AbortSignal.timeout(60_000))) {
    case 'renewed':
      return 'a connection with the new ones has taken over'
    case 'same':
      return 'nothing has changed'
    case 'idle':
      return 'the next connection uses what is there'
  }
}
