// What keeps paths from being asked about at all.

/** `forbidden`: this process may not open the sockets it takes (CAP_NET_RAW), or the kernel has none such. */
export class PathMtuError extends Error {
  readonly code: 'forbidden'

  constructor(code: 'forbidden', message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'PathMtuError'
    this.code = code
  }
}
