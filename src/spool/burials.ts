// Writes dead letters for as long as it takes: an event that Kafka refuses is not done before its letter is synced.

import type { Clock } from "../clock.ts";
import { IngestError, reasonLabel } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import type { DeadLetterSink } from "./dead-letters.ts";
import type { Refusal } from "./flight.ts";
import type { LaneEntry } from "./lane.ts";
import type { DeadLetter } from "./letter.ts";
import { nextBackoffMs } from "./lane-forwarder.ts";

export class Burials {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #deadLetters: DeadLetterSink;
  #running = 0;
  #closed = false;
  #error: IngestError | undefined;

  constructor(dependencies: { readonly log: Logger; readonly clock: Clock; readonly deadLetters: DeadLetterSink }) {
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
      // One object over all tries: a sink knows by it what it has done of a letter already.
      const letter = this.#letterOf(entry, spoolId, refusal);
      while (!(await this.#write(letter, refusal.error))) {
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

  #letterOf(entry: LaneEntry, spoolId: Buffer, { batch, first, count, error }: Refusal): DeadLetter {
    return {
      atMs: this.#clock.now(),
      persistedAtMs: entry.persistedAtMs,
      spoolId,
      batch: entry.sequence,
      topic: batch.topic,
      partition: batch.partition,
      first,
      events: count,
      count: batch.count,
      reason: error.reason,
      message: error.message,
      bytes: batch.bytes,
    };
  }

  async #write(letter: DeadLetter, error: IngestError): Promise<boolean> {
    const { topic, partition, events } = letter;
    try {
      await this.#deadLetters.append(letter);
    } catch (thrown) {
      if (this.#error === undefined)
        this.#log.error({ topic, err: thrown }, "dead letters cannot be written; they wait");
      this.#error = IngestError.from(thrown);
      return false;
    }
    this.#error = undefined;
    const reason = reasonLabel(letter.reason);
    this.#log.error({ topic, partition, events, reason, err: error }, "events became dead letters");
    return true;
  }
}
