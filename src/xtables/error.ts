// What goes wrong between iptables and us.

/**
 * `no-tool`: none is installed of that flavour and family. `refused`: it ended with a failure. `unreadable`: what it
 * printed, or what the kernel answered, can't be read. `incompatible`: the nf_tables table holds what iptables can't say.
 */
type XtablesErrorCode = 'no-tool' | 'refused' | 'unreadable' | 'incompatible'

export class XtablesError extends Error {
  readonly code: XtablesErrorCode

  constructor(code: XtablesErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options)
    this.name = 'XtablesError'
    this.code = code
  }
}
