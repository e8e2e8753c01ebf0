// Who can reach the store where it listens, in words for the log.
import { addressText, isExposed, type ListenAddress } from '../grpc/listen-address.ts'
import type { TlsPaths } from '../grpc/tls-files.ts'

/** The address, and who gets in there. */
export function reachText(address: ListenAddress, tls: TlsPaths | undefined): string {
  return `${addressText(address)} (${whoOf(address, tls)})`
}

function whoOf(address: ListenAddress, tls: TlsPaths | undefined): string {
  if (address.kind === 'unix') return 'the owner of that file only'
  if (!isExposed(address)) {
    if (tls !== undefined) return address.tls ? 'this machine only, by TLS' : 'this machine only'
    return `this machine only; --listen ADDRESS:${address.port} with --cert-file, --key-file and --trusted-ca-file opens it to other hosts`
  }
  if (tls === undefined || !address.tls) return 'open to whoever reaches the port, in plain text'
  if (tls.clientCaFile !== undefined && !tls.clientCertOptional) {
    return `open to clients with a certificate signed by ${tls.clientCaFile}`
  }
  return 'open to whoever reaches the port, by TLS'
}
