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
  readonly #folded: Set<string> | undefined;

  /**
   * @param max values that are told by name.
   * @param keepsFolded for whoever asks again of what was counted before: a value that was told as OTHER stays so until it is
   *   released, even if there is a place meanwhile; with it, what it has counted would leave OTHER, whose sum would fall. The
   *   values have to be bounded elsewhere.
   */
  constructor(max: number, keepsFolded = false) {
    this.#max = max;
    this.#folded = keepsFolded ? new Set() : undefined;
  }

  /** What the value is told as: itself or OTHER. */
  of(value: string): string {
    if (this.#named.has(value) || value.startsWith("(")) return value;
    if (value === OTHER || this.#folded?.has(value)) return OTHER;
    if (this.#named.size >= this.#max) {
      this.#folded?.add(value);
      return OTHER;
    }
    this.#named.add(value);
    return value;
  }

  /** The value is gone, and all its series are: another one may have its place. @returns whether it had one. */
  release(value: string): boolean {
    this.#folded?.delete(value);
    return this.#named.delete(value);
  }

  /** What it knows: the values that are told by name, and those that are kept as OTHER. */
  get values(): readonly string[] {
    return [...this.#named, ...(this.#folded ?? [])];
  }

  /** Values that are told by name. */
  get size(): number {
    return this.#named.size;
  }
}
