// Takes datagrams of the kernel's apart into messages, and error reports into errors.
import { Attributes, u16, u32 } from './attributes.ts'
import { malformed, type NetlinkError, refused } from './error.ts'
import { align4, HEADER_BYTES, type Message, type Reply } from './wire.ts'

export const NLMSG = { error: 2, done: 3 } as const
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200
const NLMSGERR_ATTR_MSG = 1
const NLMSGERR_ATTR_OFFS = 2

/** The messages in one datagram; throws NetlinkError `malformed` where lengths don't add up. */
export function splitMessages(bytes: Uint8Array): Reply[] {
  const replies: Reply[] = []
  let at = 0
  while (at < bytes.length) {
    const left = bytes.length - at
    if (left < HEADER_BYTES)
      throw malformed(`${left} bytes where a message of at least ${HEADER_BYTES} begins`)
    const length = u32(bytes, at)
    if (length < HEADER_BYTES || length > left)
      throw malformed(`a message of ${length} bytes where ${left} are left`)
    replies.push({
      type: u16(bytes, at + 4),
      flags: u16(bytes, at + 6),
      sequence: u32(bytes, at + 8),
      port: u32(bytes, at + 12),
      body: bytes.subarray(at + HEADER_BYTES, at + length),
    })
    at += align4(length)
  }
  return replies
}

/** The refusal in an NLMSG_ERROR or NLMSG_DONE; undefined for an acknowledgement. */
export function statusOf(reply: Reply, request: Message): NetlinkError | undefined {
  const { body } = reply
  if (body.length < 4) {
    if (reply.type === NLMSG.done) return undefined
    throw malformed(`${request.subject}: an error report of ${body.length} bytes`)
  }
  const errno = -(u32(body, 0) | 0)
  if (errno === 0) return undefined
  const { explanation, offset } = explain(reply)
  return refused(request.subject, errno, explanation, offset)
}

/** Extended ack: text and the offset of the attribute at fault, after the echoed request if it isn't capped. */
function explain(reply: Reply): { explanation?: string; offset?: number } {
  if ((reply.flags & NLM_F_ACK_TLVS) === 0) return {}
  const { body } = reply
  let start = 4
  if (reply.type === NLMSG.error) {
    if (body.length < 4 + HEADER_BYTES) return {}
    start += (reply.flags & NLM_F_CAPPED) === 0 ? align4(u32(body, 4)) : HEADER_BYTES
  }
  const found: { explanation?: string; offset?: number } = {}
  const attributes = new Attributes(body, Math.min(start, body.length), 'an error report')
  while (attributes.next())
    if (attributes.type === NLMSGERR_ATTR_MSG) found.explanation = attributes.text()
    else if (attributes.type === NLMSGERR_ATTR_OFFS) found.offset = attributes.u32()
  return found
}
