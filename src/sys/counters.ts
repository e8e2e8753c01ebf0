// What heddle counts and measures, for its report and for Prometheus: counters, gauges and histograms with labels, and
// values that are read when asked for.

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}
export interface Distribution {
  readonly labels: Readonly<Record<string, string>>
  /** How many observations were at most `atMost`, in rising order; all of them are `count`. */
  readonly buckets: readonly { readonly atMost: number; readonly count: number }[]
  readonly count: number
  readonly sum: number
}
interface Named {
  readonly name: string
  readonly help: string
  readonly labelNames: readonly string[]
}
export type Metric = Named &
  (
    | { readonly type: 'counter' | 'gauge'; readonly samples: readonly Sample[] }
    | { readonly type: 'histogram'; readonly samples: readonly Distribution[] }
  )
type Labels<L extends string> = Readonly<Record<L, string>>
/** Labels may be left out where there are none. */
type LabelArgument<L extends string> = [L] extends [never] ? [labels?: undefined] : [labels: Labels<L>]

/** The values of one metric by its labels. */
class Cells<L extends string, V> implements Named {
  readonly name: string
  readonly help: string
  readonly labelNames: readonly L[]
  readonly #values = new Map<string, { readonly labels: Labels<L>; value: V }>()
  readonly #first: () => V

  constructor({ name, help, labelNames }: Named & { readonly labelNames: readonly L[] }, first: () => V) {
    this.name = name
    this.help = help
    this.labelNames = labelNames
    this.#first = first
  }

  cell(labels: Labels<L> | undefined): { value: V } {
    const key = this.#keyOf(labels)
    let cell = this.#values.get(key)
    if (cell === undefined) {
      cell = { labels: labels ?? ({} as Labels<L>), value: this.#first() }
      this.#values.set(key, cell)
    }
    return cell
  }
  delete(labels: Labels<L> | undefined): void {
    this.#values.delete(this.#keyOf(labels))
  }
  map<T>(make: (labels: Labels<L>, value: V) => T): T[] {
    return Array.from(this.#values.values(), ({ labels, value }) => make({ ...labels }, value))
  }

  #keyOf(labels: Labels<L> | undefined): string {
    let key = ''
    for (const name of this.labelNames) key += `${labels?.[name]}\0`
    return key
  }
}

const head = ({ name, help, labelNames }: Named): Named => ({ name, help, labelNames })
const sample = (labels: Readonly<Record<string, string>>, value: number): Sample => ({ labels, value })

/** Only ever goes up. */
export class Counter<L extends string = never> {
  readonly #cells: Cells<L, number>

  constructor(named: Named & { readonly labelNames: readonly L[] }) {
    this.#cells = new Cells(named, () => 0)
    // Nothing counted is 0 where that can be said.
    if (named.labelNames.length === 0) this.#cells.cell(undefined)
  }

  increment(...[labels]: LabelArgument<L>): void {
    this.#cells.cell(labels).value++
  }
  add(amount: number, ...[labels]: LabelArgument<L>): void {
    if (amount < 0) throw new RangeError(`counter ${this.#cells.name} can't go down by ${-amount}`)
    this.#cells.cell(labels).value += amount
  }
  /** What has been counted under these labels so far. */
  value(...[labels]: LabelArgument<L>): number {
    return this.#cells.cell(labels).value
  }
  snapshot(): Metric {
    return { ...head(this.#cells), type: 'counter', samples: this.#cells.map(sample) }
  }
}

/** Goes up and down; absent until it is set. */
export class Gauge<L extends string = never> {
  readonly #cells: Cells<L, number | undefined>

  constructor(named: Named & { readonly labelNames: readonly L[] }) {
    this.#cells = new Cells<L, number | undefined>(named, () => undefined)
  }

  set(value: number, ...[labels]: LabelArgument<L>): void {
    this.#cells.cell(labels).value = value
  }
  value(...[labels]: LabelArgument<L>): number | undefined {
    return this.#cells.cell(labels).value
  }
  /** Forgets what these labels stood for (a peer that left). */
  remove(...[labels]: LabelArgument<L>): void {
    this.#cells.delete(labels)
  }
  snapshot(): Metric {
    const samples = this.#cells
      .map((labels, value) => (value === undefined ? undefined : sample(labels, value)))
      .filter((each) => each !== undefined)
    return { ...head(this.#cells), type: 'gauge', samples }
  }
}

/** How often what was observed fell into which range. */
export class Histogram<L extends string = never> {
  readonly #cells: Cells<L, { readonly counts: number[]; count: number; sum: number }>
  readonly #bounds: readonly number[]

  /** `bounds` in rising order; what is above the last one is counted too. */
  constructor(named: Named & { readonly labelNames: readonly L[] }, bounds: readonly number[]) {
    if (bounds.some((bound, i) => !Number.isFinite(bound) || bound <= (bounds[i - 1] ?? -Infinity)))
      throw new RangeError(`the bounds of ${named.name} must rise`)
    this.#bounds = bounds
    this.#cells = new Cells(named, () => ({ counts: bounds.map(() => 0), count: 0, sum: 0 }))
    if (named.labelNames.length === 0) this.#cells.cell(undefined)
  }

  observe(value: number, ...[labels]: LabelArgument<L>): void {
    const { value: seen } = this.#cells.cell(labels)
    const index = this.#bounds.findIndex((bound) => value <= bound)
    if (index >= 0) seen.counts[index] = (seen.counts[index] ?? 0) + 1
    seen.count++
    seen.sum += value
  }
  snapshot(): Metric {
    const samples = this.#cells.map((labels, { counts, count, sum }) => {
      let below = 0
      const buckets = this.#bounds.map((atMost, i) => ({ atMost, count: (below += counts[i] ?? 0) }))
      return { labels, buckets, count, sum }
    })
    return { ...head(this.#cells), type: 'histogram', samples }
  }
}

export class Counters {
  readonly #series = new Map<string, () => Metric>()

  /** `name` in Prometheus' form: `heddle_heals_total`. Each name is registered once. */
  counter<const L extends string = never>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
  ): Counter<L> {
    const counter = new Counter({ name, help, labelNames })
    this.#register(name, () => counter.snapshot())
    return counter
  }
  gauge<const L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> {
    const gauge = new Gauge({ name, help, labelNames })
    this.#register(name, () => gauge.snapshot())
    return gauge
  }
  histogram<const L extends string = never>(
    name: string,
    help: string,
    bounds: readonly number[],
    labelNames: readonly L[] = [],
  ): Histogram<L> {
    const histogram = new Histogram({ name, help, labelNames }, bounds)
    this.#register(name, () => histogram.snapshot())
    return histogram
  }
  /** One value that is read when it is asked for; undefined where there is none. */
  reading(type: 'counter' | 'gauge', name: string, help: string, read: () => number | undefined): void {
    this.readings(type, name, help, [], () => {
      const value = read()
      return value === undefined ? [] : [sample({}, value)]
    })
  }
  /** Values by label that are read when they are asked for. */
  readings(
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    labelNames: readonly string[],
    read: () => readonly Sample[],
  ): void {
    this.#register(name, () => ({ name, help, labelNames, type, samples: read() }))
  }

  #register(name: string, snapshot: () => Metric): void {
    if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name))
      throw new RangeError(`${JSON.stringify(name)} is not a name for a metric`)
    if (this.#series.has(name)) throw new RangeError(`the metric ${name} is registered already`)
    this.#series.set(name, snapshot)
  }

  /** All of it, in the order of registration. */
  snapshot(): Metric[] {
    return Array.from(this.#series.values(), (snapshot) => snapshot())
  }
}
