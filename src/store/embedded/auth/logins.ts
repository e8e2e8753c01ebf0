// Checks passwords, one at a time, so that a thousand hosts that log in at once cost neither all cores nor gigabytes.
// Who has logged in once is recognised at once from then on, by a digest under a key that this process alone has.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { refusal } from '../grpc/rpc-error.ts'
import { fitsPassword } from './password.ts'

/** Logins that wait; more are sent away to try again. */
const MAX_WAITING = 10_000

interface Recognised {
  readonly kept: string
  readonly digest: Buffer
}

export class Logins {
  readonly #key = randomBytes(32)
  readonly #recognised = new Map<string, Recognised>()
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  /** `kept` is the user's password as kept; undefined for a user that isn't there, which takes as long to say. */
  fits(user: string, password: string, kept: string | undefined): Promise<boolean> {
    if (this.#recognises(user, password, kept)) return Promise.resolve(true)
    if (this.#waiting >= MAX_WAITING) throw refusal('tooManyRequests')
    this.#waiting++
    const check = async (): Promise<boolean> => {
      this.#waiting--
      // The same user may have been recognised while this one waited.
      if (this.#recognises(user, password, kept)) return true
      const fits = await fitsPassword(password, kept)
      if (fits && kept !== undefined) this.#recognised.set(user, { kept, digest: this.#digest(password) })
      return fits
    }
    const checked = this.#last.then(check)
    this.#last = checked.catch(() => undefined)
    return checked
  }

  forget(user: string): void {
    this.#recognised.delete(user)
  }

  #recognises(user: string, password: string, kept: string | undefined): boolean {
    const known = this.#recognised.get(user)
    return known !== undefined && known.kept === kept && timingSafeEqual(known.digest, this.#digest(password))
  }

  #digest(password: string): Buffer {
    return createHmac('sha256', this.#key).update(password).digest()
  }
}
