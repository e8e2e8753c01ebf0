// Memory with an address: blocks carved out of a few large ArrayBuffers, which never move. Typed arrays of 64
// bytes or less live on the JavaScript heap and may, so their addresses must not reach the kernel.
import { ptr } from 'bun:ffi'

const SLAB_BYTES = 4 << 20
const ALIGN = 16

interface Slab {
  readonly buffer: ArrayBuffer
  readonly address: number
  /** Free ranges [start, end), ordered, never adjacent. */
  free: { start: number; end: number }[]
}
const slabs: Slab[] = []

/** Zeroed memory at a fixed address until disposed; using it afterwards is the caller's error. */
export interface Block extends Disposable {
  readonly address: number
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** A block of at least one byte, aligned to 16. */
export function allocate(bytes: number): Block {
  const size = Math.max(ALIGN, Math.ceil(bytes / ALIGN) * ALIGN)
  for (const slab of slabs) {
    const block = take(slab, size, bytes)
    if (block) return block
  }
  const buffer = new ArrayBuffer(Math.max(SLAB_BYTES, size))
  const slab: Slab = {
    buffer,
    address: ptr(new Uint8Array(buffer)),
    free: [{ start: 0, end: buffer.byteLength }],
  }
  slabs.push(slab)
  const block = take(slab, size, bytes)
  if (!block) throw new RangeError(`no memory for a block of ${bytes} bytes`)
  return block
}

function take(slab: Slab, size: number, bytes: number): Block | undefined {
  const index = slab.free.findIndex((range) => range.end - range.start >= size)
  const range = slab.free[index]
  if (range === undefined) return undefined
  const start = range.start
  if (range.end - start === size) slab.free.splice(index, 1)
  else range.start += size
  const view = new Uint8Array(slab.buffer, start, bytes)
  view.fill(0)
  let held = true
  return {
    address: slab.address + start,
    bytes: view,
    view: new DataView(slab.buffer, start, bytes),
    [Symbol.dispose]() {
      if (!held) return
      held = false
      give(slab, start, start + size)
    },
  }
}

function give(slab: Slab, start: number, end: number): void {
  let index = slab.free.findIndex((range) => range.start > start)
  if (index < 0) index = slab.free.length
  const before = slab.free[index - 1]
  const after = slab.free[index]
  const joinsBefore = before?.end === start
  const joinsAfter = after?.start === end
  if (joinsBefore && joinsAfter) {
    before.end = after.end
    slab.free.splice(index, 1)
  } else if (joinsBefore) before.end = end
  else if (joinsAfter) after.start = start
  else slab.free.splice(index, 0, { start, end })
}

/** Bytes in use, for the report and tests. */
export const arenaBytesInUse = (): number =>
  slabs.reduce(
    (sum, slab) => sum + slab.buffer.byteLength - slab.free.reduce((s, r) => s + r.end - r.start, 0),
    0,
  )
