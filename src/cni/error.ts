// A CNI failure: the number a runtime acts on, and sentences for people. Codes: CNI spec 1.1 "Error" and
// flannel-compat 7.5.

export const Code = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  badEnvironment: 4,
  io: 5,
  decode: 6,
  badConfig: 7,
  badNamespace: 8,
  tryAgainLater: 11,
  notAvailable: 50,
  /** Of this plugin: codes from 100 are free. A CHECK found that something of the pod's is not as it was made. */
  broken: 100,
  internal: 999,
} as const

export class CniError extends Error {
  readonly code = 'cni'
  override readonly name = 'CniError'
  /** The spec's number. */
  readonly cniCode: number
  /** What to do, or where to look. */
  readonly details: string

  constructor(cniCode: number, message: string, details = '', cause?: unknown) {
    super(message, { cause })
    this.cniCode = cniCode
    this.details = details
  }
}

/** Anything thrown, as the runtime is to see it: an error that has no code of its own is 999. */
export const asCniError = (error: unknown): CniError =>
  error instanceof CniError
    ? error
    : new CniError(Code.internal, error instanceof Error ? error.message : String(error), '', error)

/** The JSON that goes to stdout. `cniVersion` is the caller's, so that it can read the answer. */
export const formatError = (error: CniError, cniVersion: string | undefined): string =>
  `${JSON.stringify(
    {
      ...(cniVersion === undefined ? {} : { cniVersion }),
      code: error.cniCode,
      msg: error.message,
      ...(error.details === '' ? {} : { details: error.details }),
    },
    null,
    4,
  )}\n`

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
