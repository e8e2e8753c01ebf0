// What a lab says while it works; who shows it decides how.

export interface Progress {
  /** A step under way; called again as it advances. */
  working(step: string, detail: string): void
  /** The step is over, and whether it came out as it should. */
  done(step: string, detail: string, well?: boolean): void
}
