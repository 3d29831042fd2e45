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

/**
 * What has changed of a metric since it was told last; plain data, laid out so that it costs next to nothing to send: a series
 * is named once and has a number from then on, and all values are in one array.
 */
export interface MetricDelta {
  readonly name: string;
  /** The label values of series that are new, in the order of their numbers, which follow on those told before. */
  readonly added: readonly (readonly string[])[];
  /** The numbers of series that have changed. */
  readonly changed: Uint32Array;
  /** Their values, one after the other: one number, or for a histogram its buckets and its sum. */
  readonly values: Float64Array;
  /** By number; only those of series that have changed. */
  readonly exemplars: readonly (readonly [series: number, exemplars: readonly Exemplar[]])[];
  /** The numbers of series that are gone; they are not used again. */
  readonly gone: readonly number[];
}

export class Counter {
  value = 0;
  inc(by = 1): void {
    this.value += by;
  }
  snapshot(): number {
    return this.value;
  }
  writeTo(values: Float64Array, at: number): void {
    values[at] = this.value;
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
  writeTo(values: Float64Array, at: number): void {
    values[at] = this.value;
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
  writeTo(values: Float64Array, at: number): void {
    values[at] = this.read();
  }
  get revision(): number {
    return this.read();
  }
}

interface Instrument {
  snapshot(): number | number[];
  /** Writes what `snapshot` is. */
  writeTo(values: Float64Array, at: number): void;
  exemplars?(): Exemplar[] | undefined;
  /** Another number whenever the snapshot is another one. */
  readonly revision: number;
}

interface Member<T> {
  readonly labels: readonly string[];
  readonly instrument: T;
  /** Its number; -1 until it is told. */
  number: number;
  /** The revision that was told last. */
  told: number;
}

/** All series of one metric. */
export class Family<T extends Instrument> {
  readonly definition: MetricDefinition;
  readonly #make: () => T;
  readonly #limits: readonly (LabelLimit | undefined)[];
  readonly #isLimited: boolean;
  readonly #series = new Map<string, Member<T>>();
  /** How many numbers one series takes. */
  readonly #width: number;
  #told = 0;
  #gone: number[] = [];

  /** @param limits of labels that have one. */
  constructor(definition: MetricDefinition, make: () => T, limits: Readonly<Record<string, LabelLimit>> = {}) {
    this.definition = definition;
    this.#make = make;
    this.#width = definition.bounds === undefined ? 1 : definition.bounds.length + 2;
    this.#limits = definition.labels.map((label) => limits[label]);
    this.#isLimited = this.#limits.some((limit) => limit !== undefined);
  }

  /** The series with these label values, in the order of the definition. Take it once and keep it. */
  with(...values: string[]): T {
    const labels = this.labelsOf(values);
    const key = labels.join("\0");
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { labels, instrument: this.#make(), number: -1, told: 0 };
      this.#series.set(key, series);
    }
    return series.instrument;
  }

  /** The series, if there is one. */
  find(...values: string[]): T | undefined {
    return this.#series.get(this.labelsOf(values).join("\0"))?.instrument;
  }

  /** The label values of every series, in the order of the definition. */
  get labels(): (readonly string[])[] {
    return Array.from(this.#series.values(), ({ labels }) => labels);
  }

  /** What label values are told as, where there are more than may have a name. */
  labelsOf(values: readonly string[]): readonly string[] {
    return this.#isLimited ? values.map((value, i) => this.#limits[i]?.of(value) ?? value) : values;
  }

  /** Gives the place of a value of a label away. @returns whether it had one. */
  release(label: string, value: string): boolean {
    return this.#limits[this.definition.labels.indexOf(label)]?.release(value) ?? false;
  }

  /** Forgets a series whose subject is gone, for example a topic's, unless it is told together with others. */
  remove(...labels: string[]): void {
    const key = labels.join("\0");
    const { number = -1 } = this.#series.get(key) ?? {};
    this.#series.delete(key);
    if (number >= 0) this.#gone.push(number);
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
    const changed: Member<T>[] = [];
    const added: (readonly string[])[] = [];
    for (const member of this.#series.values()) {
      const { revision } = member.instrument;
      if (member.number < 0) {
        member.number = this.#told++;
        added.push(member.labels);
      } else if (Object.is(member.told, revision)) {
        continue;
      }
      member.told = revision;
      changed.push(member);
    }
    if (changed.length === 0 && this.#gone.length === 0) return undefined;
    const values = new Float64Array(changed.length * this.#width);
    const exemplars: (readonly [number, readonly Exemplar[]])[] = [];
    for (const [i, { instrument, number }] of changed.entries()) {
      instrument.writeTo(values, i * this.#width);
      const those = instrument.exemplars?.();
      if (those !== undefined) exemplars.push([number, those]);
    }
    const gone = this.#gone;
    this.#gone = [];
    const numbers = Uint32Array.from(changed, ({ number }) => number);
    return { name: this.definition.name, added, changed: numbers, values, exemplars, gone };
  }
}

function seriesOf({ labels, instrument }: Member<Instrument>): Series {
  const exemplars = instrument.exemplars?.();
  return exemplars === undefined ? [labels, instrument.snapshot()] : [labels, instrument.snapshot(), exemplars];
}
