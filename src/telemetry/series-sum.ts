// Adds up series that have the same label values, and those that are told together because there are too many.
//
// Invariant: what was given to it is not changed; a sum is a new array, made when the second one comes.

import { type Exemplar, newestExemplars } from "./exemplars.ts";
import type { Series } from "./instruments.ts";
import { type LabelLimit, OTHER } from "./label-limit.ts";

type Value = Series[1];

export function add(a: Value, b: Value): Value {
  if (typeof a === "number" && typeof b === "number") return a + b;
  if (typeof a === "number" || typeof b === "number" || a.length !== b.length)
    throw new Error("assertion failed: a metric is one type in all processes");
  return a.map((value, i) => value + b[i]!);
}

function seriesOf(labels: readonly string[], value: Value, exemplars: readonly Exemplar[] | undefined): Series {
  return exemplars === undefined ? [labels, value] : [labels, value, exemplars];
}

export class SeriesSum {
  readonly #limits: readonly (LabelLimit | undefined)[];
  #series = new Map<string, Series>();

  /** @param limits of the labels, in the order of the definition. */
  constructor(limits: readonly (LabelLimit | undefined)[] = []) {
    this.#limits = limits;
  }

  /** Is a series with these label values told together with others? */
  folds(labels: readonly string[]): boolean {
    for (let i = 0; i < this.#limits.length; i++) {
      const limit = this.#limits[i];
      if (limit !== undefined && limit.of(labels[i]!) === OTHER) return true;
    }
    return false;
  }

  add([given, value, exemplars]: Series): void {
    const labels = this.folds(given) ? given.map((label, i) => this.#limits[i]?.of(label) ?? label) : given;
    const key = labels.length === 1 ? labels[0]! : labels.join("\0");
    const present = this.#series.get(key);
    if (present === undefined) this.#series.set(key, seriesOf(labels, value, exemplars));
    else this.#series.set(key, seriesOf(labels, add(present[1], value), newestExemplars(present[2], exemplars)));
  }

  /** Forgets the series with a value of a label. @param at the label's place in the definition. */
  forget(at: number, value: string): void {
    for (const [key, [labels]] of this.#series) if (labels[at] === value) this.#series.delete(key);
  }

  get series(): Series[] {
    return [...this.#series.values()];
  }

  /** What was added so far; begins anew. */
  take(): Series[] {
    if (this.#series.size === 0) return [];
    const { series } = this;
    this.#series = new Map();
    return series;
  }
}
