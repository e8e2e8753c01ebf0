// Why the store process can't start or go on; the message tells a person what to do.

export type ServeErrorCode =
  | 'usage'
  | 'database_foreign'
  | 'database_damaged'
  | 'database_newer'
  | 'database_locked'
  | 'database_unreadable'
  | 'address_in_use'
  | 'listen_failed'
  | 'tls_unusable'
  | 'database_missing'
  | 'file_exists'
  | 'backup_failed'

export class ServeError extends Error {
  override readonly name = 'ServeError'
  readonly code: ServeErrorCode

  constructor(code: ServeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
