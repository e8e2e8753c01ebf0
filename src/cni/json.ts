// JSON the way Go reads and writes it: object keys match whatever their case, and are written sorted.

export type JsonObject = { readonly [key: string]: JsonValue }
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject

export const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The value of a key: of the exact name if it is there, else of a name that differs in case only. `null` is absence. */
export function field(object: JsonObject, name: string): JsonValue | undefined {
  if (Object.hasOwn(object, name)) return object[name] ?? undefined
  const lower = name.toLowerCase()
  for (const key of Object.keys(object)) if (key.toLowerCase() === lower) return object[key] ?? undefined
  return undefined
}

/** The object that a text says, or undefined where it says none (a state file on a disk that was full). */
export function parseObject(text: string): JsonObject | undefined {
  try {
    const json = JSON.parse(text) as JsonValue
    return isObject(json) ? json : undefined
  } catch {
    return undefined
  }
}

/** Text with keys sorted by code unit, no spaces, and `<>&` escaped: what Go's encoder makes of a map. */
export function formatSorted(value: JsonValue): string {
  if (typeof value === 'string') return goString(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (isObject(value)) {
    const fields = Object.keys(value).sort()
    return `{${fields.map((key) => `${goString(key)}:${formatSorted(value[key] ?? null)}`).join(',')}}`
  }
  return `[${value.map(formatSorted).join(',')}]`
}

const goString = (text: string): string =>
  JSON.stringify(text).replace(
    /[<>&\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
