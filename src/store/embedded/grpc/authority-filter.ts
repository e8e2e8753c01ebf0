// etcd's Go clients before 3.5.1 send `http://host:port` as :authority of the calls to one endpoint (status, defrag;
// etcd-io/etcd issue 13192). RFC 9113 8.3.1 forbids that, and HTTP/2 parsers other than Go's refuse the call. Here the
// two slashes become dots, in place, before the parser sees them; nobody reads that header on this side.

/** "PRI * HTTP/2.0…", the client's first bytes (RFC 9113 3.4). */
const PREFACE_BYTES = 24
const FRAME_HEADER_BYTES = 9
const HEADERS_FRAME = 1
const PADDED_FLAG = 0x08
const PRIORITY_FLAG = 0x20
/** Frames of this length are passed on unread: they can't be what this file is about. */
const MAX_BLOCK_BYTES = 16_384
/** Index of :authority in HPACK's static table (RFC 7541 appendix A). */
const AUTHORITY_INDEX = 1

/** Follows the frames a client sends; holds back HEADERS frames until they are complete. */
export class AuthorityFilter {
  /** Bytes of the current frame, or of the preface, that are still to be passed on unread. */
  #passing = PREFACE_BYTES
  #held: Buffer = Buffer.alloc(0)

  /** What can be passed on now; changes the chunk in place. */
  push(chunk: Buffer): Buffer {
    const bytes = this.#held.byteLength === 0 ? chunk : Buffer.concat([this.#held, chunk])
    let at = 0
    for (;;) {
      const passed = Math.min(this.#passing, bytes.byteLength - at)
      at += passed
      this.#passing -= passed
      if (bytes.byteLength - at < FRAME_HEADER_BYTES) break
      const payloadBytes = bytes.readUIntBE(at, 3)
      const end = at + FRAME_HEADER_BYTES + payloadBytes
      if (bytes[at + 3] !== HEADERS_FRAME || payloadBytes > MAX_BLOCK_BYTES) {
        this.#passing = FRAME_HEADER_BYTES + payloadBytes
      } else if (end <= bytes.byteLength) {
        repairBlock(headerBlock(bytes.subarray(at, end)))
        at = end
      } else {
        break
      }
    }
    this.#held = bytes.subarray(at)
    return bytes.subarray(0, at)
  }
}

function headerBlock(frame: Buffer): Buffer {
  const flags = frame[4] ?? 0
  let begin = FRAME_HEADER_BYTES
  let end = frame.byteLength
  if ((flags & PADDED_FLAG) !== 0) end -= frame[begin++] ?? 0
  if ((flags & PRIORITY_FLAG) !== 0) begin += 5
  return frame.subarray(begin, Math.max(begin, end))
}

/** Walks the fields of a header block (RFC 7541 6) and repairs the value of :authority. What is malformed stays so. */
function repairBlock(block: Buffer): void {
  let at = 0
  /** An integer whose first byte has this many bits of it (RFC 7541 5.1). */
  const integer = (bits: number): number => {
    const max = 2 ** bits - 1
    let value = (block[at++] ?? 0) & max
    if (value < max) return value
    for (let shift = 0; at < block.byteLength && shift < 28; shift += 7) {
      const byte = block[at++] ?? 0
      value += (byte & 0x7f) * 2 ** shift
      if ((byte & 0x80) === 0) break
    }
    return value
  }
  const skipString = (): void => {
    const length = integer(7)
    at += length
  }
  while (at < block.byteLength) {
    const first = block[at] ?? 0
    if ((first & 0x80) !== 0) {
      integer(7)
    } else if ((first & 0xe0) === 0x20) {
      integer(5)
    } else {
      const nameIndex = integer((first & 0x40) === 0 ? 4 : 6)
      if (nameIndex === 0) skipString()
      const value = at
      skipString()
      if (nameIndex === AUTHORITY_INDEX) repairValue(block.subarray(value, at))
    }
  }
}

/** "http://" by Huffman's code (RFC 7541 appendix B) is 41 bits; '/' and '.' have 6 each, so that lengths stay. */
function repairValue(text: Buffer): void {
  if (text.byteLength < 7) return
  const isHuffman = ((text[0] ?? 0) & 0x80) !== 0
  const isHttp = text.readUInt32BE(1) === 0x9d29aee3 && text[5] === 0x0c && ((text[6] ?? 0) & 0x80) === 0
  if (!isHuffman || !isHttp) return
  text[4] = 0xe2
  text[5] = 0xeb
  text[6] = (text[6] ?? 0) | 0x80
}
