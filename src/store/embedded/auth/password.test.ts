// How passwords are kept and recognised.
import { expect, test } from 'bun:test'
import { fitsPassword, hashPassword, NO_PASSWORD_FITS } from './password.ts'
import { Logins } from './logins.ts'

test('a password is kept as a salted scrypt hash, which only it fits', async () => {
  const [kept, again] = await Promise.all([hashPassword('gehêim'), hashPassword('gehêim')])
  expect(kept).toMatch(/^\$scrypt\$ln=15,r=8,p=3\$[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=$/)
  expect(again).not.toBe(kept)
  expect(await fitsPassword('gehêim', kept)).toBe(true)
  for (const [password, hash] of [
    ['geheim', kept],
    ['', kept],
    ['gehêim', undefined],
    ['', undefined],
    ['', NO_PASSWORD_FITS],
    [NO_PASSWORD_FITS, NO_PASSWORD_FITS],
    ['gehêim', kept.replace('p=3', 'p=2')],
    ['gehêim', kept.slice(0, -8)],
  ] as const) {
    expect(await fitsPassword(password, hash)).toBe(false)
  }
}, 60_000)

test('a hash of another cost still fits its password', async () => {
  // Made by Python: hashlib.scrypt(b'pw', salt=b'salt', n=1024, r=8, p=1, dklen=32).
  const kept = '$scrypt$ln=10,r=8,p=1$c2FsdA==$nx+GlYOOaCwWiXUPRaafuVZFtKJ/DJmUxpaxyYwKFnE='
  expect(await fitsPassword('pw', kept)).toBe(true)
})

test('a user who has logged in is recognised until the password changes; who fails never is', async () => {
  const logins = new Logins()
  const kept = await hashPassword('one')
  expect(await Promise.all(Array.from({ length: 500 }, () => logins.fits('ann', 'one', kept)))).toEqual(
    Array.from({ length: 500 }, () => true),
  )
  expect(await logins.fits('ann', 'two', kept)).toBe(false)
  expect(await logins.fits('bob', 'one', undefined)).toBe(false)
  expect(await logins.fits('ann', 'one', await hashPassword('two'))).toBe(false)
  expect(await logins.fits('ann', 'one', kept)).toBe(true)
}, 60_000)
