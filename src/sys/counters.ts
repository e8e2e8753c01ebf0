// What heddle counts and measures, for its report and later for Prometheus: counters and gauges with labels.

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}
export interface Metric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly samples: readonly Sample[]
}
type Labels<L extends string> = Readonly<Record<L, string>>
/** Labels may be left out where there are none. */
type LabelArgument<L extends string> = [L] extends [never] ? [labels?: undefined] : [labels: Labels<L>]

class Series<L extends string> {
  readonly name: string
  readonly help: string
  readonly type: Metric['type']
  readonly labelNames: readonly L[]
  protected readonly values = new Map<string, { labels: Labels<L>; value: number }>()

  constructor(name: string, help: string, type: Metric['type'], labelNames: readonly L[]) {
    this.name = name
    this.help = help
    this.type = type
    this.labelNames = labelNames
  }

  protected cell(labels: Labels<L> | undefined): { value: number } {
    const key = this.labelNames.map((name) => labels?.[name]).join('\0')
    let cell = this.values.get(key)
    if (cell === undefined) {
      cell = { labels: labels ?? ({} as Labels<L>), value: 0 }
      this.values.set(key, cell)
    }
    return cell
  }

  snapshot(): Metric {
    const samples = Array.from(this.values.values(), ({ labels, value }) => ({
      labels: { ...labels },
      value,
    }))
    return { name: this.name, help: this.help, type: this.type, samples }
  }
}

/** Only ever goes up. */
export class Counter<L extends string = never> extends Series<L> {
  increment(...[labels]: LabelArgument<L>): void {
    this.cell(labels).value++
  }
  add(amount: number, ...[labels]: LabelArgument<L>): void {
    if (amount < 0) throw new RangeError(`counter ${this.name} can't go down by ${-amount}`)
    this.cell(labels).value += amount
  }
  /** What has been counted under these labels so far. */
  value(...[labels]: LabelArgument<L>): number {
    return this.cell(labels).value
  }
}

/** Goes up and down. */
export class Gauge<L extends string = never> extends Series<L> {
  set(value: number, ...[labels]: LabelArgument<L>): void {
    this.cell(labels).value = value
  }
  value(...[labels]: LabelArgument<L>): number {
    return this.cell(labels).value
  }
  /** Forgets what these labels stood for (a peer that left). */
  remove(...[labels]: LabelArgument<L>): void {
    this.values.delete(this.labelNames.map((name) => labels?.[name]).join('\0'))
  }
}

export class Counters {
  readonly #series = new Map<string, { snapshot(): Metric }>()

  /** `name` in Prometheus' form: `heddle_heals_total`. Each name is registered once. */
  counter<const L extends string = never>(name: string, help: string, labels: readonly L[] = []): Counter<L> {
    return this.#register(new Counter(name, help, 'counter', labels))
  }
  gauge<const L extends string = never>(name: string, help: string, labels: readonly L[] = []): Gauge<L> {
    return this.#register(new Gauge(name, help, 'gauge', labels))
  }

  #register<S extends { readonly name: string; snapshot(): Metric }>(series: S): S {
    if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(series.name))
      throw new RangeError(`${JSON.stringify(series.name)} is not a name for a metric`)
    if (this.#series.has(series.name)) throw new RangeError(`the metric ${series.name} is registered already`)
    this.#series.set(series.name, series)
    return series
  }

  /** All of it, in the order of registration. */
  snapshot(): Metric[] {
    return Array.from(this.#series.values(), (series) => series.snapshot())
  }
}
