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
  /** What the project promises: of heddle's median over the other's, or of heddle's median alone. */
  readonly goal?: Goal
}
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
  readonly ratio: number | undefined
  readonly met: boolean | undefined
}

export function judge(bench: string, figure: Figure): Result {
  const ours = summary(figure.heddle)
  const theirs = figure.beside === undefined ? undefined : summary(figure.beside.values)
  const ratio = theirs === undefined ? undefined : ours.median / theirs.median
  return { ...figure, bench, ours, theirs, ratio, met: isMet(figure.goal, ours.median, ratio) }
}

function isMet(goal: Goal | undefined, median: number, ratio: number | undefined): boolean | undefined {
  const value = goal?.of === 'ratio' ? ratio : median
  if (goal === undefined || value === undefined) return undefined
  return value <= (goal.atMost ?? Infinity) && value >= (goal.atLeast ?? -Infinity)
}

const number = (value: number): string =>
  value >= 1000 ? value.toFixed(0) : value >= 100 ? value.toFixed(1) : value.toFixed(value < 1 ? 3 : 2)
const spread = ({ median, least, most }: Summary): string =>
  least === most ? number(median) : `${number(median)} (${number(least)}–${number(most)})`

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
    result.ratio === undefined ? '' : number(result.ratio),
    result.goal === undefined ? '' : goalText(result.goal),
    result.met === undefined ? '' : result.met ? 'met' : 'MISSED',
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
