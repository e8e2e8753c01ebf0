// An explanation from the arguments to the exit code: 0 nothing is missing, 1 something is, 2 the arguments are refused,
// 3 it can't be looked.
import { readWholly } from '../../daemon/options/wholly.ts'
import { familyOf, parseIp, type Ip } from '../../model/ip.ts'
import type { Context } from '../context.ts'
import type { ExplainFlags } from '../explain.ts'
import { styleFor } from '../style.ts'
import { isBroken } from './hop.ts'
import { explanationText, type Explanation } from './show.ts'
import { Told } from './told.ts'
import { KernelView } from './view.ts'
import { walk, type Question } from './walk.ts'
import { wantsOf } from './wants.ts'

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
  let explanation: Explanation
  try {
    explanation = await explain(question, given.options['subnet-file'], socket)
  } catch (error) {
    complain(`the kernel can't be asked: ${error instanceof Error ? error.message : String(error)}`)
    return EXIT.unknown
  }
  stdout.write(
    flags.json
      ? `${JSON.stringify(explanation, undefined, 2)}\n`
      : explanationText(explanation, styleFor(process.stdout)),
  )
  return explanation.complete ? EXIT.complete : EXIT.missing
}

async function explain(question: Question, subnetFile: string, socket: string): Promise<Explanation> {
  using view = new KernelView()
  const told = Told.read(subnetFile)
  const hops = walk(view, question, told)
  const missing = hops.find(isBroken)
  const heddle = await wantsOf(socket, question.to, missing !== undefined)
  return {
    to: question.to,
    from: question.from ?? null,
    complete: missing === undefined,
    hops,
    missing: missing ?? null,
    heddle: typeof heddle === 'string' ? null : heddle,
    unknown: [
      ...(typeof heddle === 'string' ? [`what flanneld wants there: ${heddle}`] : []),
      ...(told.isEmpty
        ? [`which addresses are pods': ${subnetFile} tells no network (--subnet-file); none is taken for one`]
        : []),
    ],
  }
}

function questionOf(address: string, from: string | undefined): Question | string {
  const [to, source] = [parseIp(address), from === undefined ? undefined : parseIp(from)]
  if (to === undefined) return notAnAddress(address)
  if (from === undefined) return { to, from: undefined }
  if (source === undefined) return `--from ${notAnAddress(from)}`
  return sameFamily(to, source)
    ? { to, from: source }
    : `--from ${source}: want an address of the same family as ${to}`
}

const sameFamily = (a: Ip, b: Ip): boolean => familyOf(a) === familyOf(b)
const notAnAddress = (text: string): string => `${JSON.stringify(text)} is no IPv4 or IPv6 address`
