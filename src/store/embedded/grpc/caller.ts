// Who calls, as far as the client has shown it: its token and its certificate.
import type { IncomingHttpHeaders } from 'node:http2'

export interface Caller {
  /** From Authenticate; etcd's clients send it in the header `token`. */
  readonly token: string | undefined
  /** The common name of a verified client certificate. */
  readonly certificateName: string | undefined
}

export function callerOf(headers: IncomingHttpHeaders, certificateName: string | undefined): Caller {
  const shown = headers['token'] ?? headers['authorization']
  const token = Array.isArray(shown) ? shown[0] : shown
  return { token: token?.replace(/^Bearer /, ''), certificateName }
}
