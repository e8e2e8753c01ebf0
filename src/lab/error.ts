// What goes wrong with a lab, as sentences with a stable code.

export class LabError extends Error {
  readonly code: /** What was asked for can't be: exit 2. */
    | 'usage'
    /** A lab with other parameters is up. */
    | 'differs'
    | 'not-up'
    /** Another command works on this lab. */
    | 'busy'
    /** The kernel, or the machine's settings, don't let us. */
    | 'refused'
    /** Something did not become ready in time. */
    | 'timeout'
    /** A process or a tool failed. */
    | 'failed'
    | 'interrupted'
  constructor(code: LabError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'LabError'
    this.code = code
  }
}

export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
