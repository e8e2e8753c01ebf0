// Passwords as they are kept: scrypt with a salt for each, in the PHC string format, so that the cost can be raised
// later. Source: RFC 7914; the cost is one of those in OWASP's Password Storage Cheat Sheet.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'

const COST = { ln: 15, r: 8, p: 3 } as const
const SALT_BYTES = 16
const HASH_BYTES = 32
/** What one derivation needs, and half as much to spare: 128 · N · r bytes. */
const memoryBytes = (ln: number, r: number): number => 192 * 2 ** ln * r

const FORMAT = /^\$scrypt\$ln=(?<ln>\d+),r=(?<r>\d+),p=(?<p>\d+)\$(?<salt>[^$]+)\$(?<hash>[^$]+)$/

/** For a user whose password nobody knows: no password fits. */
export const NO_PASSWORD_FITS = '!'

/** Takes a fifth of a second of one core and 32 MiB, on another thread. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES)
  const { ln, r, p } = COST
  const hash = await derive(password, salt, { ln, r, p })
  return `$scrypt$ln=${ln},r=${r},p=${p}$${salt.toString('base64')}$${hash.toString('base64')}`
}

/** Costs as much as `hashPassword`, also where there is nothing to compare with: who asks learns nothing from the time. */
export async function fitsPassword(password: string, kept: string | undefined): Promise<boolean> {
  const parts = FORMAT.exec(kept ?? '')?.groups
  if (parts === undefined) {
    await derive(password, Buffer.alloc(SALT_BYTES), COST)
    return false
  }
  const cost = { ln: Number(parts['ln']), r: Number(parts['r']), p: Number(parts['p']) }
  const hash = Buffer.from(parts['hash'] ?? '', 'base64')
  const derived = await derive(password, Buffer.from(parts['salt'] ?? '', 'base64'), cost)
  return hash.byteLength === derived.byteLength && timingSafeEqual(hash, derived)
}

interface Cost {
  readonly ln: number
  readonly r: number
  readonly p: number
}

function derive(password: string, salt: Buffer, { ln, r, p }: Cost): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const options = { N: 2 ** ln, r, p, maxmem: memoryBytes(ln, r) }
  // Bun calls back with undefined where Node says null.
  scrypt(password, salt, HASH_BYTES, options, (error, key) =>
    error instanceof Error ? reject(error) : resolve(key),
  )
  return promise
}
