// Which values of a label have series of their own: clients choose names, and a metric may not have as many series as clients
// have ideas.
//
// The first so many values are told by name, all others together as `other`, so no event is lost from a sum. A value keeps its
// place until it is released, so that what was counted under a name is not counted under two. Rejected: the busiest values by
// name; a series that changes between a name and `other` makes every rate() of both wrong.
//
// Invariants: one worker has one limit for each label, so every metric folds the same values, and what holds between metrics
// (the ledger) holds for `other` too. Values in parentheses are the service's own, and always told.

export const OTHER = "other";

export class LabelLimit {
  readonly #max: number;
  readonly #named = new Set<string>();

  /** @param max values that are told by name. */
  constructor(max: number) {
    this.#max = max;
  }

  /** What the value is told as: itself or OTHER. */
  of(value: string): string {
    if (this.#named.has(value) || value.startsWith("(")) return value;
    if (value === OTHER || this.#named.size >= this.#max) return OTHER;
    this.#named.add(value);
    return value;
  }

  /** The value is gone, and all its series are: another one may have its place. @returns whether it had one. */
  release(value: string): boolean {
    return this.#named.delete(value);
  }

  /** Values that are told by name. */
  get size(): number {
    return this.#named.size;
  }
}
