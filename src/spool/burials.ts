// Writes dead letters for as long as it takes: an event that Kafka refuses is not done before its letter is synced.
//
// What is refused of a batch for the same kind of reason shares a letter, because every letter holds the whole batch.

import type { Clock } from "../clock.ts";
import { IngestError, reasonLabel } from "../errors.ts";
import type { SealedBatch } from "../ingest/producer.ts";
import type { Logger } from "../telemetry/log.ts";
import type { DeadLetterSink } from "./dead-letters.ts";
import type { Refusal } from "./flight.ts";
import type { LaneEntry } from "./lane.ts";
import type { DeadLetter, RecordRange } from "./letter.ts";
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

  /** Resolves with true when letters for all refusals are synced; with false if it is closed before. Never rejects. */
  async bury(entry: LaneEntry, spoolId: Buffer, refusals: readonly Refusal[]): Promise<boolean> {
    this.#running++;
    let backoffMs = 0;
    for (const alike of groups(refusals)) {
      // One object over all tries: a sink knows by it what it has done of a letter already.
      const letter = this.#letterOf(entry, spoolId, alike);
      while (!(await this.#write(letter, alike[0].error))) {
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

  #letterOf(entry: LaneEntry, spoolId: Buffer, alike: Alike): DeadLetter {
    const { batch, error } = alike[0];
    const ranges = alike.map(({ first, count }) => ({ first, count })).sort((a, b) => a.first - b.first);
    return {
      atMs: this.#clock.now(),
      persistedAtMs: entry.persistedAtMs,
      spoolId,
      batch: entry.sequence,
      topic: batch.topic,
      partition: batch.partition,
      ranges: joined(ranges),
      events: ranges.reduce((sum, { count }) => sum + count, 0),
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

type Alike = readonly [Refusal, ...Refusal[]];

/** Refusals of one batch for one kind of reason, which share a letter. Messages that differ in numbers alone are of a kind. */
function groups(refusals: readonly Refusal[]): Iterable<Alike> {
  const batches = new Map<SealedBatch, Map<string, [Refusal, ...Refusal[]]>>();
  for (const refusal of refusals) {
    const kinds = batches.get(refusal.batch) ?? new Map<string, [Refusal, ...Refusal[]]>();
    batches.set(refusal.batch, kinds);
    const kind = `${refusal.error.reason} ${refusal.error.message.replaceAll(/\d+/g, "#")}`;
    const alike = kinds.get(kind);
    if (alike === undefined) kinds.set(kind, [refusal]);
    else alike.push(refusal);
  }
  return [...batches.values()].flatMap((kinds) => [...kinds.values()]);
}

/** Ranges that follow each other as one. */
function joined(ranges: readonly RecordRange[]): RecordRange[] {
  const out: RecordRange[] = [];
  for (const range of ranges) {
    const last = out.at(-1);
    if (last !== undefined && last.first + last.count === range.first)
      out[out.length - 1] = { first: last.first, count: last.count + range.count };
    else out.push(range);
  }
  return out;
}
