// Writes dead letters for as long as it takes: an event that Kafka refuses is not done before its letter is synced.

import type { Clock } from "../clock.ts";
import { IngestError } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { Refusal } from "./flight.ts";
import type { LaneEntry } from "./lane.ts";
import { nextBackoffMs } from "./lane-forwarder.ts";

export class Burials {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #deadLetters: DeadLetters;
  #running = 0;
  #closed = false;
  #error: IngestError | undefined;

  constructor(dependencies: { readonly log: Logger; readonly clock: Clock; readonly deadLetters: DeadLetters }) {
    this.#log = dependencies.log;
    this.#clock = dependencies.clock;
    this.#deadLetters = dependencies.deadLetters;
  }

  /** Batches whose letters are not all written. */
  get running(): number {
    return this.#running;
  }

  /** Why letters cannot be written now. */
  get error(): IngestError | undefined {
    return this.#error;
  }

  /** Resolves with true when a letter for each refusal is synced; with false if it is closed before. Never rejects. */
  async bury(entry: LaneEntry, spoolId: Buffer, refusals: readonly Refusal[]): Promise<boolean> {
    this.#running++;
    let backoffMs = 0;
    for (const refusal of refusals) {
      while (!(await this.#write(entry, spoolId, refusal))) {
        backoffMs = nextBackoffMs(backoffMs);
        await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, backoffMs).unref?.());
        if (this.#closed) return false;
      }
    }
    this.#running--;
    return !this.#closed;
  }

  dispose(): void {
    this.#closed = true;
  }

  async #write(entry: LaneEntry, spoolId: Buffer, { batch, first, count, error }: Refusal): Promise<boolean> {
    const { topic, partition } = batch;
    const { reason, message } = error;
    try {
      await this.#deadLetters.append({
        atMs: this.#clock.now(),
        persistedAtMs: entry.persistedAtMs,
        spoolId,
        batch: entry.sequence,
        topic,
        partition,
        first,
        events: count,
        count: batch.count,
        reason,
        message,
        bytes: batch.bytes,
      });
    } catch (thrown) {
      if (this.#error === undefined)
        this.#log.error({ topic, err: thrown }, "dead letters cannot be written; they wait");
      this.#error = IngestError.from(thrown);
      return false;
    }
    this.#error = undefined;
    this.#log.error({ topic, partition, events: count, reason, err: error }, "events became dead letters");
    return true;
  }
}
