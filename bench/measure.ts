// What a bench yields: figures of heddle beside those of something else, taken in turns within one run, and how they
// are printed. Ratios are of medians.

export interface Bench {
  readonly name: string
  /** One line about what is measured and how. */
  readonly what: string
  run(note: (progress: string) => void): Promise<readonly Figure[]>
}

export interface Figure {
  readonly what: string
  readonly unit: string
  readonly heddle: readonly number[]
  readonly beside?: { readonly name: string; readonly values: readonly number[] }
  /** What the project promises. */
  readonly goals?: readonly Goal[]
}
/** Of heddle's median over the other's, or of heddle's median alone. */
export interface Goal {
  readonly of: 'ratio' | 'value'
  readonly atMost?: number
  readonly atLeast?: number
}

export interface Summary {
  readonly median: number
  readonly least: number
  readonly most: number
  readonly count: number
}

export function summary(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b)
  return {
    median: percentile(sorted, 50),
    least: sorted[0] ?? NaN,
    most: sorted.at(-1) ?? NaN,
    count: sorted.length,
  }
}

/** Of values in any order, by linear interpolation. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = ((sorted.length - 1) * percent) / 100
  const [low, high] = [sorted[Math.floor(at)] ?? NaN, sorted[Math.ceil(at)] ?? NaN]
  return low + (high - low) * (at - Math.floor(at))
}

/** A figure with its medians, ratio and verdict: what the table shows and what --json writes. */
export interface Result extends Figure {
  readonly bench: string
  readonly ours: Summary
  readonly theirs: Summary | undefined
  readonly ratio: Ratio | undefined
  readonly verdict: Verdict | undefined
}
/** Of medians, with the interval in which nine of ten reruns of the same rounds would lie (bootstrap). */
export interface Ratio {
  readonly value: number
  readonly low: number
  readonly high: number
}
/** `unclear`: missed, but by less than the noise of this run. */
export type Verdict = 'met' | 'unclear' | 'MISSED'

export function judge(bench: string, figure: Figure): Result {
  const ours = summary(figure.heddle)
  const theirs = figure.beside === undefined ? undefined : summary(figure.beside.values)
  const ratio = figure.beside === undefined ? undefined : ratioOf(figure.heddle, figure.beside.values)
  return { ...figure, bench, ours, theirs, ratio, verdict: verdictOf(figure.goals ?? [], ours.median, ratio) }
}

const RESAMPLES = 2000

/** Rounds are drawn again with both of their sides: a busy spell had hit both. */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): Ratio {
  const median = (values: readonly number[]) => percentile(values, 50)
  const random = generator(1)
  const ratios = Array.from({ length: RESAMPLES }, () => {
    const rounds = ours.map(() => Math.floor(random() * ours.length))
    const drawn = (values: readonly number[]) => rounds.map((round) => values[round] ?? NaN)
    return median(drawn(ours)) / median(drawn(theirs))
  })
  return {
    value: median(ours) / median(theirs),
    low: percentile(ratios, 5),
    high: percentile(ratios, 95),
  }
}

const VERDICTS = ['MISSED', 'unclear', 'met'] as const satisfies readonly Verdict[]

/** The worst of all goals'. */
function verdictOf(goals: readonly Goal[], median: number, ratio: Ratio | undefined): Verdict | undefined {
  const all = goals.map((goal) => verdictOn(goal, median, ratio))
  return VERDICTS.find((verdict) => all.includes(verdict))
}

function verdictOn(goal: Goal, median: number, ratio: Ratio | undefined): Verdict | undefined {
  if (goal.of === 'ratio' && ratio === undefined) return undefined
  const { value, low, high } =
    goal.of === 'ratio' && ratio ? ratio : { value: median, low: median, high: median }
  const [most, least] = [goal.atMost ?? Infinity, goal.atLeast ?? -Infinity]
  if (value <= most && value >= least) return 'met'
  return low <= most && high >= least ? 'unclear' : 'MISSED'
}

/** Numbers in [0, 1) that a seed decides (mulberry32). */
export function generator(from: number): () => number {
  let state = from
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

const number = (value: number): string =>
  value >= 1000 ? value.toFixed(0) : value >= 100 ? value.toFixed(1) : value.toFixed(value < 1 ? 3 : 2)
const spread = ({ median, least, most }: Summary): string =>
  least === most ? number(median) : `${number(median)} (${number(least)}–${number(most)})`

const ratioText = ({ value, low, high }: Ratio): string =>
  !Number.isFinite(value)
    ? ''
    : low === high
      ? number(value)
      : `${number(value)} (${number(low)}–${number(high)})`

function goalText({ of, atMost, atLeast }: Goal): string {
  const bounds = [
    ...(atMost === undefined ? [] : [`≤ ${atMost}`]),
    ...(atLeast === undefined ? [] : [`≥ ${atLeast}`]),
  ]
  return `${of === 'ratio' ? 'ratio ' : ''}${bounds.join(', ')}`
}

/** One row a figure: medians with the least and the most, and heddle's median over the other's. */
export function table(results: readonly Result[]): string {
  const rows = results.map((result) => [
    result.what,
    result.unit,
    spread(result.ours),
    result.theirs === undefined ? '' : spread(result.theirs),
    result.beside?.name ?? '',
    result.ratio === undefined ? '' : ratioText(result.ratio),
    (result.goals ?? []).map(goalText).join(' and '),
    result.verdict ?? '',
  ])
  const head = ['what', 'unit', 'heddle', 'other', 'which is', 'ratio', 'goal', '']
  const widths = head.map((title, i) => Math.max(...[head, ...rows].map((row) => (row[i] ?? title).length)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(head), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)].join('\n')
}

/** Takes turns: all of them once in each round, so that a busy spell of the machine hits all alike. */
export async function rounds<Name extends string>(
  count: number,
  sides: Readonly<Record<Name, (round: number) => Promise<number>>>,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(sides) as Name[]
  const values = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, number[]>
  for (let round = 0; round < count; round++)
    for (const name of round % 2 === 0 ? names : names.toReversed())
      values[name].push(await sides[name](round))
  return values
}
