// What permissions add up to, held against asking for every key by itself.
import { expect, test } from 'bun:test'
import * as fc from 'fast-check'
import { Permission_Type as PermissionType } from '../gen/authpb/auth_pb.ts'
import { keyRange, rangeContains } from '../keys/key-range.ts'
import { Grants, isPermissionRange, type Permission } from './permissions.ts'

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))
/** Few enough to try all of them: 'a', 'aa', 'ab', … and what comes right after each. */
const KEYS = ['a', 'aa', 'ab', 'b', 'ba', 'bb', 'c', 'ca', 'cb', 'd'].flatMap((key) => [key, `${key}\0`])
const key = fc.constantFrom(...KEYS).map(bytes)
const rangeEnd = fc.oneof(key, fc.constantFrom('', '\0').map(bytes))
const permission: fc.Arbitrary<Permission> = fc
  .record({
    type: fc.constantFrom(PermissionType.READ, PermissionType.WRITE, PermissionType.READWRITE),
    key,
    rangeEnd,
  })
  .filter((one) => isPermissionRange(one.key, one.rangeEnd))

test('a range is allowed only if each of its keys is, and always if one permission covers it', () => {
  const reads = ({ type }: Permission): boolean => type !== PermissionType.WRITE
  fc.assert(
    fc.property(fc.array(permission, { maxLength: 5 }), key, rangeEnd, (permissions, from, end) => {
      const range = keyRange(from, end)
      const keys = KEYS.map(bytes).filter((one) => rangeContains(range, one))
      const readable = permissions.filter(reads).map((one) => keyRange(one.key, one.rangeEnd))
      const allowed = new Grants(permissions).allows(range, 'read')
      const each = keys.every((one) => readable.some((granted) => rangeContains(granted, one)))
      if (allowed) expect(each).toBe(true)
      if (range.kind === 'one') expect(allowed).toBe(each)
      const covered = permissions
        .filter(reads)
        .some((one) => Buffer.compare(one.key, from) === 0 && Buffer.compare(one.rangeEnd, end) === 0)
      if (covered) expect(allowed).toBe(true)
    }),
    { numRuns: 2000 },
  )
})

test('permissions that meet cover together what none covers alone; a gap of one key stays one', () => {
  const read = (from: string, end: string): Permission => ({
    type: PermissionType.READ,
    key: bytes(from),
    rangeEnd: bytes(end),
  })
  const allows = (permissions: Permission[], from: string, end: string): boolean =>
    new Grants(permissions).allows(keyRange(bytes(from), bytes(end)), 'read')
  expect(allows([read('b', 'c'), read('a', 'b')], 'a', 'c')).toBe(true)
  expect(allows([read('a', 'b'), read('b\0', 'c')], 'a', 'c')).toBe(false)
  expect(allows([read('a', 'b'), read('b', ''), read('b\0', 'c')], 'a', 'c')).toBe(true)
  expect(allows([read('a', 'c'), read('b', '\0')], 'a', '\0')).toBe(true)
  expect(allows([read('a', 'z')], 'a', '\0')).toBe(false)
  expect(allows([read('a', 'c')], 'b', 'a')).toBe(false)
  expect(allows([read('\0', '\0')], 'c', 'a')).toBe(false)
  expect(new Grants([read('a', 'c')]).allows(keyRange(bytes('a'), bytes('')), 'write')).toBe(false)
})
