// flanneld's own status server on a UNIX socket, ready as a test says: `using _ = answering(socket, () => checks)`.
import type { Check } from '../../src/status/checks.ts'
import { StatusServer } from '../../src/status/server.ts'

export function answering(socket: string, ready: () => readonly Check[]): Disposable {
  const refuse = (reason: string) => {
    throw new Error(reason)
  }
  return new StatusServer(
    { socket },
    {
      ready,
      live: () => [],
      report: () => ({}),
      drift: () => Promise.resolve({}),
      async *driftChanges() {},
      metrics: () => Promise.resolve(''),
    },
    { onTrouble: refuse, onRelief: () => undefined },
  )
}
