// Counters, gauges and histograms that cost a field access on the hot path.
//
// Rejected: prom-client's own instruments there. They hash their labels on every observation (about 1 µs), which at
// hundreds of thousands of requests a second would be a third of the work. So a caller takes the handle of its labels once
// and adds to a plain field; prom-client renders the snapshots in the supervisor, where time is cheap.

/** What a metric is, apart from its values; the supervisor renders snapshots by it. */
export interface MetricDefinition {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  /** True: one series a worker, labelled `worker`. False: the workers' values are added up. */
  readonly perWorker: boolean;
}

/** The values of one metric in one process; plain data that crosses process borders. */
export interface MetricSnapshot {
  readonly name: string;
  /** Label values, in the order of the definition, with the value, or for a histogram [...bucket counts, sum]. */
  readonly series: readonly (readonly [labels: readonly string[], value: number | readonly number[]])[];
}

export class Counter {
  value = 0;
  inc(by = 1): void {
    this.value += by;
  }
  snapshot(): number {
    return this.value;
  }
}

export class Gauge {
  value = 0;
  set(value: number): void {
    this.value = value;
  }
  inc(by = 1): void {
    this.value += by;
  }
  dec(by = 1): void {
    this.value -= by;
  }
  snapshot(): number {
    return this.value;
  }
}

/** A gauge that is looked up when it is read, and costs nothing in between. */
export class ReadGauge {
  read: () => number = () => 0;
  snapshot(): number {
    return this.read();
  }
}

/** Upper bounds of a time histogram's buckets in seconds: powers of two from 100 µs to 105 s; +Inf follows. */
export const TIME_BUCKETS: readonly number[] = Array.from({ length: 21 }, (_, i) => 1e-4 * 2 ** i);

/** A histogram of durations. The bucket is found from the binary logarithm, not by search. */
export class TimeHistogram {
  readonly #counts = new Float64Array(TIME_BUCKETS.length + 1);
  #sum = 0;

  /** @param ms the duration in milliseconds. */
  observe(ms: number): void {
    const units = Math.ceil(ms * 10);
    const bucket = units <= 1 ? 0 : 32 - Math.clz32(units - 1);
    this.#counts[bucket < TIME_BUCKETS.length ? bucket : TIME_BUCKETS.length]! += 1;
    this.#sum += ms / 1000;
  }

  /** The counts of each bucket alone (not cumulative), the last one +Inf, then the sum in seconds. */
  snapshot(): number[] {
    return [...this.#counts, this.#sum];
  }
}

interface Instrument {
  snapshot(): number | number[];
}

/** All series of one metric. */
export class Family<T extends Instrument> {
  readonly definition: MetricDefinition;
  readonly #make: () => T;
  readonly #series = new Map<string, { readonly labels: readonly string[]; readonly instrument: T }>();

  constructor(definition: MetricDefinition, make: () => T) {
    this.definition = definition;
    this.#make = make;
  }

  /** The series with these label values, in the order of the definition. Take it once and keep it. */
  with(...labels: string[]): T {
    const key = labels.join("\0");
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { labels, instrument: this.#make() };
      this.#series.set(key, series);
    }
    return series.instrument;
  }

  /** Forgets a series whose subject is gone, for example a topic's. */
  remove(...labels: string[]): void {
    this.#series.delete(labels.join("\0"));
  }

  snapshot(): MetricSnapshot {
    return {
      name: this.definition.name,
      series: [...this.#series.values()].map(({ labels, instrument }) => [labels, instrument.snapshot()] as const),
    };
  }
}
