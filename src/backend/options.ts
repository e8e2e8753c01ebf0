// Reading a back end's options out of the config's Backend object, by Go's rules: keys match whatever their case,
// the last of equal ones wins, unknown ones are ignored, null leaves the default. Errors are sentences.
import * as v from 'valibot'
import type { Json } from '../model/lease.ts'

type BackendObject = { readonly [key: string]: Json }

/** The options `schema` (keys in lower case) reads, or a sentence that names the first bad one. */
export function readOptions<Schema extends v.GenericSchema>(
  schema: Schema,
  backend: BackendObject,
): v.InferOutput<Schema> | string {
  const lower = Object.fromEntries(
    Object.entries(backend)
      .filter(([, value]) => value !== null)
      .map(([key, value]) => [key.toLowerCase(), value]),
  )
  const result = v.safeParse(schema, lower, { abortEarly: true })
  return result.success ? result.output : result.issues[0].message
}

/** A whole number from `min` to `max`. */
export const wholeNumber = (key: string, min: number, max: number, otherwise: number) => {
  const message = (issue: { input: unknown }) =>
    `Backend.${key} must be a whole number from ${min} to ${max}, not ${JSON.stringify(issue.input)}`
  return v.optional(
    v.pipe(v.number(message), v.integer(message), v.minValue(min, message), v.maxValue(max, message)),
    otherwise,
  )
}

/** true or false; false if absent. */
export const flag = (key: string) =>
  v.optional(
    v.boolean((issue) => `Backend.${key} must be true or false, not ${JSON.stringify(issue.input)}`),
    false,
  )
