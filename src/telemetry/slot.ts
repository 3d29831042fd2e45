// The metrics of one worker slot, over all the processes that have lived in it.
//
// Rejected: showing the living process alone. Its counters start at zero, and a sum over workers that falls because one of
// them died looks like a reset of all of them: rate() invents a jump. So what the dead have counted is kept and added.
//
// Invariants: counters and histograms of a slot never go back. Gauges are the living process's; the dead have none. What a
// process had in flight when it died is settled here, as failed, because nobody else can any more. What it left in the spool is
// found there by its successor, and taken off the balance here, or it would count twice. So the ledger still sums up.

import type { MetricDefinition, MetricDelta, MetricSnapshot, Series } from "./instruments.ts";
import type { LabelLimit } from "./label-limit.ts";
import { SeriesSum } from "./series-sum.ts";

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

/** One metric of the living process. */
class LivingMetric {
  readonly #name: string;
  /** By number. */
  readonly #series = new Map<number, Series>();
  #numbers = 0;
  #snapshot: MetricSnapshot | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  /** @returns the series that are gone, as they were. */
  update({ added, changed, values, exemplars, gone }: MetricDelta): Series[] {
    this.#snapshot = undefined;
    const lost: Series[] = [];
    for (const number of gone) {
      const series = this.#series.get(number);
      if (series !== undefined) lost.push(series);
      this.#series.delete(number);
    }
    for (const labels of added) this.#series.set(this.#numbers++, [labels, 0]);
    const width = values.length / changed.length;
    for (let i = 0; i < changed.length; i++) {
      const number = changed[i]!;
      const value = width === 1 ? values[i]! : Array.from(values.subarray(i * width, (i + 1) * width));
      this.#series.set(number, [this.#series.get(number)![0], value]);
    }
    for (const [number, those] of exemplars) {
      const [labels, value] = this.#series.get(number)!;
      this.#series.set(number, [labels, value, those]);
    }
    return lost;
  }

  /** The same object until something changes. */
  get snapshot(): MetricSnapshot {
    return (this.#snapshot ??= { name: this.#name, series: [...this.#series.values()] });
  }
}

export class SlotMetrics {
  readonly #definitions: ReadonlyMap<string, MetricDefinition>;
  readonly #settlement: Settlement | undefined;
  readonly #limits: Readonly<Record<string, LabelLimit>>;
  readonly #onGone: (definition: MetricDefinition, labels: readonly string[]) => void;
  readonly #dead = new Map<string, SeriesSum>();
  #living = new Map<string, LivingMetric>();

  /**
   * @param limits of labels that have one, those of all slots together.
   * @param onGone is told of series that the living process has let go; what they counted is kept until it is forgotten.
   */
  constructor(
    definitions: readonly MetricDefinition[],
    settlement?: Settlement,
    limits: Readonly<Record<string, LabelLimit>> = {},
    onGone: (definition: MetricDefinition, labels: readonly string[]) => void = () => {},
  ) {
    this.#definitions = new Map(definitions.map((definition) => [definition.name, definition]));
    this.#settlement = settlement;
    this.#limits = limits;
    this.#onGone = onGone;
  }

  /** Takes what has changed of the living process's metrics. */
  update(changed: readonly MetricDelta[]): void {
    for (const delta of changed) {
      const { name } = delta;
      let living = this.#living.get(name);
      if (living === undefined) this.#living.set(name, (living = new LivingMetric(name)));
      for (const series of living.update(delta)) this.#let(name, series);
    }
  }

  /**
   * The process is dead.
   * @returns what its gauge of orphans held.
   */
  retire(): number {
    let orphaned = 0;
    for (const { snapshot } of this.#living.values()) {
      const { name, series } = snapshot;
      if (name === this.#settlement?.orphans.gauge) orphaned = this.#settle(series, this.#settlement.orphans);
      if (name === this.#settlement?.legacy.found) this.#balance(series, name, 1);
      if (name === this.#settlement?.legacy.left) this.#balance(series, this.#settlement.legacy.found, -1);
      if (this.#definitions.get(name)?.type === "gauge") continue;
      for (const each of series) this.#deadSum(name).add(each);
    }
    this.#living = new Map();
    return orphaned;
  }

  /** A metric of the living process; the same object until it changes, undefined if there is none. */
  readonly living = (name: string): MetricSnapshot | undefined => this.#living.get(name)?.snapshot;

  /** What the processes that are gone have counted; undefined if that is nothing. */
  readonly dead = (name: string): MetricSnapshot | undefined => {
    const series = this.#dead.get(name)?.series;
    return series === undefined ? undefined : { name, series };
  };

  /** All that there is of the dead and of the living process, not added up: that takes milliseconds where topics are many. */
  parts(): readonly (readonly MetricSnapshot[])[] {
    const dead = Array.from(this.#dead, ([name, { series }]) => ({ name, series }));
    return [dead, Array.from(this.#living.values(), ({ snapshot }) => snapshot)];
  }

  /** @param names of metrics; absent: of all that there are. */
  snapshot(names: Iterable<string> = new Set([...this.#dead.keys(), ...this.#living.keys()])): MetricSnapshot[] {
    const snapshots: MetricSnapshot[] = [];
    for (const name of names) {
      const living = this.living(name);
      const dead = this.#dead.get(name);
      if (dead === undefined) {
        if (living !== undefined) snapshots.push(living);
        continue;
      }
      const sum = new SeriesSum();
      for (const each of dead.series) sum.add(each);
      for (const each of living?.series ?? []) sum.add(each);
      snapshots.push({ name, series: sum.series });
    }
    return snapshots;
  }

  /** What series with this value of a label have counted that are gone. @param at the label's place in the definition. */
  forget(name: string, at: number, value: string): void {
    this.#dead.get(name)?.forget(at, value);
  }

  /** A series is gone. Its counts stay for as long as another slot has it, or a sum of both would fall. */
  #let(name: string, series: Series): void {
    const definition = this.#definitions.get(name);
    if (definition === undefined || definition.type === "gauge") return;
    this.#deadSum(name).add(series);
    this.#onGone(definition, series[0]);
  }

  #settle(series: readonly Series[], orphans: Orphans): number {
    let settled = 0;
    for (const [labels, value] of series) {
      if (typeof value !== "number" || value === 0) continue;
      this.#deadSum(orphans.counter).add([[...labels, orphans.label], value]);
      settled += value;
    }
    return settled;
  }

  #balance(series: readonly Series[], found: string, sign: 1 | -1): void {
    for (const [labels, value] of series) {
      if (typeof value === "number" && value !== 0) this.#deadSum(found).add([labels, sign * value]);
    }
  }

  #deadSum(name: string): SeriesSum {
    let sum = this.#dead.get(name);
    if (sum === undefined) {
      const limits = this.#definitions.get(name)?.labels.map((label) => this.#limits[label]);
      this.#dead.set(name, (sum = new SeriesSum(limits)));
    }
    return sum;
  }
}
