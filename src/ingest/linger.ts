// The open record batches that wait for their linger to end, and those whose linger ended with no room in flight.
//
// The linger is the same for all, so they end in the order in which they were opened, and one timer serves them all.
// Rejected: a list in which those sealed meanwhile are passed over; with a long linger it would keep thousands of settled
// batches alive, outside of every budget.
//
// Invariant: a batch is in the queue from `add` until `delete`, overdue or not, so whoever has to seal everything finds it.

import type { Clock } from "../clock.ts";
import { LinkedList } from "../linked-list.ts";
import type { RecordBatch } from "./record-batch.ts";

export class LingerQueue {
  readonly #clock: Clock;
  readonly #lingerMs: number;
  readonly #onEnd: (batch: RecordBatch) => void;
  /** Oldest first. */
  readonly #waiting = new LinkedList<RecordBatch>();
  readonly #overdue = new LinkedList<RecordBatch>();
  #scheduled = false;

  /** @param onEnd is told once of each batch whose linger ends while it is in the queue. */
  constructor(clock: Clock, lingerMs: number, onEnd: (batch: RecordBatch) => void) {
    this.#clock = clock;
    this.#lingerMs = lingerMs;
    this.#onEnd = onEnd;
  }

  add(batch: RecordBatch): void {
    batch.lingers = true;
    this.#waiting.add(batch);
    if (!this.#scheduled) this.#schedule(batch);
  }

  delete(batch: RecordBatch): void {
    if (batch.overdue) this.#overdue.remove(batch);
    else this.#waiting.remove(batch);
  }

  /** Those that wait now. */
  toArray(): RecordBatch[] {
    return [...this.#overdue.toArray(), ...this.#waiting.toArray()];
  }

  /**
   * In whole milliseconds: Node cuts off what is beyond them, so that the timer would end too early, and need another for the rest.
   * And it has a list of timers for each delay, of which this becomes mostly one.
   */
  #schedule(first: RecordBatch): void {
    this.#scheduled = true;
    const delayMs = first.openedAtMs + this.#lingerMs - this.#clock.monotonic();
    this.#clock.setTimeout(() => this.#end(), Math.max(1, Math.ceil(delayMs)));
  }

  #end(): void {
    this.#scheduled = false;
    const dueMs = this.#clock.monotonic() - this.#lingerMs;
    for (let batch = this.#waiting.first; batch !== undefined; batch = this.#waiting.first) {
      if (batch.openedAtMs > dueMs) {
        this.#schedule(batch);
        return;
      }
      this.#waiting.remove(batch);
      this.#overdue.add(batch);
      batch.overdue = true;
      this.#onEnd(batch);
    }
  }
}
