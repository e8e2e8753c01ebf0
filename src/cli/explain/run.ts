// An explanation from the arguments to the exit code: 0 nothing is missing, 1 something is, 2 the arguments are refused,
// 3 it isn't known.
import { readWholly } from '../../daemon/options/wholly.ts'
import { familyOf, ipv4ToNumber, isIPv4, parseIp, parseIPv4OrMapped, type Ip } from '../../model/ip.ts'
import type { Context } from '../context.ts'
import type { ExplainFlags } from '../explain.ts'
import { styleFor } from '../style.ts'
import { isBroken } from './hop.ts'
import { explanationText, type Explanation } from './show.ts'
import { Told } from './told.ts'
import { KernelView } from './view.ts'
import { walk, type Question } from './walk.ts'
import { wantsOf, withLacking } from './wants.ts'

const EXIT = { complete: 0, missing: 1, usage: 2, unknown: 3 } as const

export async function explainMain(
  { process: { stdout, stderr } }: Context,
  flags: ExplainFlags,
  address: string,
  words: readonly string[],
): Promise<number> {
  const complain = (text: string) => stderr.write(`${styleFor(process.stderr).bad('heddle:')} ${text}\n`)
  const question = questionOf(address, flags.from)
  if (typeof question === 'string') {
    complain(question)
    return EXIT.usage
  }
  const given = await readWholly(words, process.env)
  if (typeof given === 'string') {
    complain(given)
    return EXIT.usage
  }
  for (const { text } of given.notes) complain(text)
  const socket = flags.socket ?? given.options['status-socket']
  let explanation: Explanation | string
  try {
    explanation = await explain(question, given.options['subnet-file'], socket)
  } catch (error) {
    complain(`the kernel can't be asked: ${error instanceof Error ? error.message : String(error)}`)
    return EXIT.unknown
  }
  if (typeof explanation === 'string') {
    complain(explanation)
    return EXIT.usage
  }
  stdout.write(
    flags.json
      ? `${JSON.stringify(explanation, undefined, 2)}\n`
      : explanationText(explanation, styleFor(process.stdout)),
  )
  if (explanation.missing !== null) return EXIT.missing
  return explanation.complete ? EXIT.complete : EXIT.unknown
}

/** A sentence where the packet can come from there by no means. */
async function explain(
  question: Question,
  subnetFile: string,
  socket: string,
): Promise<Explanation | string> {
  const { to, from } = question
  const flanneld = await wantsOf(socket, to)
  using view = new KernelView()
  const told = Told.read(subnetFile, flanneld)
  if (from !== undefined && !told.isEmpty && told.networkOf(from) === undefined && !view.isOwn(from))
    return `--from ${from}: want an address of this host or of a pod`
  const hops = walk(view, question, told)
  const missing = hops.find(isBroken)
  const { wants } = told
  return {
    to,
    from: from ?? null,
    complete: hops.every((hop) => !isBroken(hop) && hop.state !== 'unknown'),
    hops,
    missing: missing ?? null,
    heddle: wants === undefined ? null : missing === undefined ? wants : await withLacking(socket, wants),
    unknown: [
      ...('why' in flanneld ? [`what flanneld wants there: ${flanneld.why}`] : []),
      ...(told.isEmpty
        ? [`which addresses are pods': ${subnetFile} tells no network (--subnet-file); none is taken for one`]
        : []),
    ],
  }
}

function questionOf(address: string, from: string | undefined): Question | string {
  const [to, source] = [parseIp(address), from === undefined ? undefined : parseIp(from)]
  if (to === undefined) return notAnAddress(address)
  const unfit = unfitness(to)
  if (unfit !== undefined) return unfit
  if (from === undefined) return { to, from: undefined }
  if (source === undefined) return `--from ${notAnAddress(from)}`
  if (to === source) return `--from ${source}: a packet to itself leaves no pod`
  return sameFamily(to, source)
    ? { to, from: source }
    : `--from ${source}: want an address of the same family as ${to}`
}

const sameFamily = (a: Ip, b: Ip): boolean => familyOf(a) === familyOf(b)
const notAnAddress = (text: string): string => `${JSON.stringify(text)} is no IPv4 or IPv6 address`

/** 224.0.0.0/4 and ff00::/8. */
const isMulticast = (ip: Ip): boolean => (isIPv4(ip) ? ipv4ToNumber(ip) >>> 28 === 0xe : ip.startsWith('ff'))

/** Why no packet goes to that one host. */
function unfitness(to: Ip): string | undefined {
  const mapped = isIPv4(to) ? undefined : parseIPv4OrMapped(to)
  if (mapped !== undefined)
    return `${to} stands for ${mapped} within programs, and no packet has it: ask for ${mapped}`
  if (to === '0.0.0.0' || to === '::') return `${to} is nobody's address: want that of a pod or of a host`
  if (to === '255.255.255.255' || isMulticast(to))
    return `${to} is no single host's address: want that of a pod or of a host`
  return undefined
}
