// Answers to health probes, in the form Kubernetes gives its own (k8s.io/apiserver pkg/server/healthz): one line a
// check with `?verbose`, and upstream flannel's texts. Pure.
import type { HttpAnswer } from '../sys/http-listener.ts'

export interface Check {
  readonly name: string
  /** Why it fails; undefined where all is well. */
  readonly failure: string | undefined
  /** Worth knowing though it doesn't fail. */
  readonly note?: string
}

export interface Verdict {
  readonly good: string
  readonly bad: string
}

/** 200 if no check fails, else 503. The reasons are told where they are asked for with `?verbose`. */
export function probeAnswer(checks: readonly Check[], verdict: Verdict, query: string): HttpAnswer {
  const isGood = checks.every((check) => check.failure === undefined)
  const text = isGood ? verdict.good : verdict.bad
  const lines = new URLSearchParams(query).has('verbose') ? checks.map(lineOf) : []
  return {
    status: isGood ? 200 : 503,
    type: 'text/plain; charset=utf-8',
    body: lines.length === 0 ? text : [...lines, text, ''].join('\n'),
  }
}

function lineOf({ name, failure, note }: Check): string {
  if (failure !== undefined) return `[-]${name} failed: ${oneLine(failure)}`
  return note === undefined ? `[+]${name} ok` : `[+]${name} ok: ${oneLine(note)}`
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ')
