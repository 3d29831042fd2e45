// The metrics of one worker slot, over all the processes that have lived in it.
//
// Rejected: showing the living process alone. Its counters start at zero, and a sum over workers that falls because one of
// them died looks like a reset of all of them: rate() invents a jump. So what the dead have counted is kept and added.
//
// Invariants: counters and histograms of a slot never go back. Gauges are the living process's; the dead have none. What a
// process had in flight when it died is settled here, as failed, because nobody else can any more. What it left in the spool is
// found there by its successor, and taken off the balance here, or it would count twice. So the ledger still sums up.

import type { MetricDefinition, MetricSnapshot } from "./instruments.ts";

type Series = MetricSnapshot["series"][number];
type Value = Series[1];

/** Turns what a gauge holds at a process's death into counts of a counter with one label more. */
export interface Orphans {
  readonly gauge: string;
  readonly counter: string;
  readonly label: string;
}

/** A gauge of what a process found, and one of what it leaves for its successor to find. */
export interface Legacy {
  readonly found: string;
  readonly left: string;
}

export interface Settlement {
  readonly orphans: Orphans;
  readonly legacy: Legacy;
}

export function add(a: Value, b: Value): Value {
  if (typeof a === "number" && typeof b === "number") return a + b;
  if (typeof a === "number" || typeof b === "number" || a.length !== b.length)
    throw new Error("assertion failed: a metric is one type in all processes");
  return a.map((value, i) => value + b[i]!);
}

/** Series by their label values; equal ones are added up. */
export class SeriesSum {
  readonly #series = new Map<string, Series>();

  add(labels: readonly string[], value: Value): void {
    const key = labels.join("\0");
    const present = this.#series.get(key);
    this.#series.set(key, [labels, present === undefined ? value : add(present[1], value)]);
  }

  get series(): Series[] {
    return [...this.#series.values()];
  }
}

export class SlotMetrics {
  readonly #definitions: ReadonlyMap<string, MetricDefinition>;
  readonly #settlement: Settlement | undefined;
  readonly #dead = new Map<string, SeriesSum>();
  #living = new Map<string, MetricSnapshot>();

  constructor(definitions: readonly MetricDefinition[], settlement?: Settlement) {
    this.#definitions = new Map(definitions.map((definition) => [definition.name, definition]));
    this.#settlement = settlement;
  }

  /** Takes the metrics of the living process that have changed. */
  update(changed: readonly MetricSnapshot[]): void {
    for (const snapshot of changed) this.#living.set(snapshot.name, snapshot);
  }

  /**
   * The process is dead.
   * @returns what its gauge of orphans held.
   */
  retire(): number {
    let orphaned = 0;
    for (const { name, series } of this.#living.values()) {
      if (name === this.#settlement?.orphans.gauge) orphaned = this.#settle(series, this.#settlement.orphans);
      if (name === this.#settlement?.legacy.found) this.#balance(series, name, 1);
      if (name === this.#settlement?.legacy.left) this.#balance(series, this.#settlement.legacy.found, -1);
      if (this.#definitions.get(name)?.type === "gauge") continue;
      for (const [labels, value] of series) this.#deadSum(name).add(labels, value);
    }
    this.#living = new Map();
    return orphaned;
  }

  /** A metric of the living process; undefined if it has none. */
  readonly living = (name: string): MetricSnapshot | undefined => this.#living.get(name);

  /** What the processes that are gone have counted; undefined if that is nothing. */
  readonly dead = (name: string): MetricSnapshot | undefined => {
    const series = this.#dead.get(name)?.series;
    return series === undefined ? undefined : { name, series };
  };

  snapshot(): MetricSnapshot[] {
    const names = new Set([...this.#dead.keys(), ...this.#living.keys()]);
    return [...names].map((name) => {
      const sum = new SeriesSum();
      for (const [labels, value] of this.#dead.get(name)?.series ?? []) sum.add(labels, value);
      for (const [labels, value] of this.#living.get(name)?.series ?? []) sum.add(labels, value);
      return { name, series: sum.series };
    });
  }

  #settle(series: readonly Series[], orphans: Orphans): number {
    let settled = 0;
    for (const [labels, value] of series) {
      if (typeof value !== "number" || value === 0) continue;
      this.#deadSum(orphans.counter).add([...labels, orphans.label], value);
      settled += value;
    }
    return settled;
  }

  #balance(series: readonly Series[], found: string, sign: 1 | -1): void {
    for (const [labels, value] of series) {
      if (typeof value === "number" && value !== 0) this.#deadSum(found).add(labels, sign * value);
    }
  }

  #deadSum(name: string): SeriesSum {
    let sum = this.#dead.get(name);
    if (sum === undefined) this.#dead.set(name, (sum = new SeriesSum()));
    return sum;
  }
}
