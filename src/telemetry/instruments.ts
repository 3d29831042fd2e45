// Counters and gauges that cost a field access on the hot path, and the families of series that they are in.
//
// Rejected: prom-client's own instruments there. They hash their labels on every observation (about 1 µs), which at
// hundreds of thousands of requests a second would be a third of the work. So a caller takes the handle of its labels once
// and adds to a plain field; the supervisor renders the snapshots, where time is cheap.

import type { Exemplar } from "./exemplars.ts";
import type { LabelLimit } from "./label-limit.ts";

/** What a metric is, apart from its values; the supervisor renders snapshots by it. */
export interface MetricDefinition {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  /** True: one series a worker, labelled `worker`. False: the workers' values are added up. */
  readonly perWorker: boolean;
  /** Of a histogram: the upper bounds of its buckets; +Inf follows. */
  readonly bounds?: readonly number[];
}

/** Label values, in the order of the definition, with the value, or for a histogram [...bucket counts, sum]. */
export type Series = readonly [
  labels: readonly string[],
  value: number | readonly number[],
  exemplars?: readonly Exemplar[],
];

/** The values of one metric in one process; plain data that crosses process borders. */
export interface MetricSnapshot {
  readonly name: string;
  readonly series: readonly Series[];
}

/** What has changed of a metric. */
export interface MetricDelta extends MetricSnapshot {
  /** The label values of series that are gone. */
  readonly gone?: readonly (readonly string[])[];
}

export class Counter {
  value = 0;
  inc(by = 1): void {
    this.value += by;
  }
  snapshot(): number {
    return this.value;
  }
  get revision(): number {
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
  get revision(): number {
    return this.value;
  }
}

/** A gauge that is looked up when it is read, and costs nothing in between. */
export class ReadGauge {
  read: () => number = () => 0;
  snapshot(): number {
    return this.read();
  }
  get revision(): number {
    return this.read();
  }
}

interface Instrument {
  snapshot(): number | number[];
  exemplars?(): Exemplar[] | undefined;
  /** Another number whenever the snapshot is another one. */
  readonly revision: number;
}

interface Member<T> {
  readonly labels: readonly string[];
  readonly instrument: T;
  /** The revision that was told last; undefined: none was. */
  told: number | undefined;
}

/** All series of one metric. */
export class Family<T extends Instrument> {
  readonly definition: MetricDefinition;
  readonly #make: () => T;
  readonly #limits: readonly (LabelLimit | undefined)[];
  readonly #series = new Map<string, Member<T>>();
  #gone: (readonly string[])[] = [];

  /** @param limits of labels that have one. */
  constructor(definition: MetricDefinition, make: () => T, limits: Readonly<Record<string, LabelLimit>> = {}) {
    this.definition = definition;
    this.#make = make;
    this.#limits = definition.labels.map((label) => limits[label]);
  }

  /** The series with these label values, in the order of the definition. Take it once and keep it. */
  with(...values: string[]): T {
    const labels = this.labelsOf(values);
    const key = labels.join("\0");
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { labels, instrument: this.#make(), told: undefined };
      this.#series.set(key, series);
    }
    return series.instrument;
  }

  /** What label values are told as, where there are more than may have a name. */
  labelsOf(values: readonly string[]): readonly string[] {
    return values.map((value, i) => this.#limits[i]?.of(value) ?? value);
  }

  /** Forgets a series whose subject is gone, for example a topic's, unless it is told together with others. */
  remove(...labels: string[]): void {
    if (this.#series.delete(labels.join("\0"))) this.#gone.push(labels);
  }

  /** Forgets every series that has this value of a label. */
  removeAll(label: string, value: string): void {
    const at = this.definition.labels.indexOf(label);
    for (const { labels } of this.#series.values()) if (labels[at] === value) this.remove(...labels);
  }

  snapshot(): MetricSnapshot {
    return { name: this.definition.name, series: Array.from(this.#series.values(), seriesOf) };
  }

  /** What has changed since the last call, for one reader; undefined if nothing has. */
  delta(): MetricDelta | undefined {
    const series: Series[] = [];
    for (const member of this.#series.values()) {
      const { revision } = member.instrument;
      if (Object.is(member.told, revision)) continue;
      member.told = revision;
      series.push(seriesOf(member));
    }
    const gone = this.#gone;
    if (gone.length === 0) return series.length === 0 ? undefined : { name: this.definition.name, series };
    this.#gone = [];
    return { name: this.definition.name, series, gone };
  }
}

function seriesOf({ labels, instrument }: Member<Instrument>): Series {
  const exemplars = instrument.exemplars?.();
  return exemplars === undefined ? [labels, instrument.snapshot()] : [labels, instrument.snapshot(), exemplars];
}
