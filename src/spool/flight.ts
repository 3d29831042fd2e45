// One spooled batch on its way to Kafka, until every record of it has an outcome for good.
//
//   batch of the spool ── one part, or, if it had no partition, one for each ── send ── outcomes by ranges of records
//
// A producer may store one half of a batch and fail the other. A record that is stored or refused stays so, and only the others
// are sent again.

import { assert, type IngestError, Reason } from "../errors.ts";
import type { BatchSettler, Producer, ProducerStamp, SealedBatch, StampKeeper } from "../ingest/producer.ts";
import { sliceRecordBatch } from "../wire/record-batch.ts";
import type { Stamp } from "./entries.ts";
import type { LaneEntry } from "./lane.ts";

const OPEN = 0;
const STORED = 1;
const REFUSED = 2;

/** Records that Kafka refuses for good. */
export interface Refusal {
  readonly batch: SealedBatch;
  readonly first: number;
  readonly count: number;
  readonly error: IngestError;
}

/**
 * Will it never work? A topic that is not there, or not allowed, is what an operator mends; what was acknowledged waits for
 * that.
 */
export function isForGood(error: IngestError): boolean {
  return !error.retryable && error.reason !== Reason.UNKNOWN_TOPIC && error.reason !== Reason.NOT_AUTHORIZED;
}

/** Keeps on disk how a part is going to be sent, and calls back. */
type KeepStamp = (partition: number, stamp: ProducerStamp, kept: () => void) => void;

interface PartCallbacks {
  readonly keepStamp: KeepStamp;
  /** Every record was told of since the last send. */
  readonly told: () => void;
  /** It is known that some have to be sent again; not all may have been told of. */
  readonly bounced: (error: IngestError) => void;
}

/** The batch, or what of it goes to one partition. */
export class FlightPart implements BatchSettler, StampKeeper {
  readonly batch: SealedBatch;
  /** How it was sent last, by this process or an earlier one. */
  stamp: ProducerStamp | undefined;
  readonly refusals: Refusal[] = [];
  readonly #callbacks: PartCallbacks;
  /** Made when the batch is not told as a whole. */
  #outcomes: Uint8Array | undefined;
  /** Records without an outcome for good. */
  #open: number;
  /** Records that were not told of since the last send. */
  #untold = 0;
  #error: IngestError | undefined;

  /** @param stamp how an earlier process sent it. */
  constructor(batch: SealedBatch, stamp: ProducerStamp | undefined, callbacks: PartCallbacks) {
    const { topic, partition, count, bytes } = batch;
    this.batch = { topic, partition, count, bytes, stamps: this };
    this.stamp = stamp;
    this.#callbacks = callbacks;
    this.#open = count;
  }

  /** Has every record an outcome for good? */
  get complete(): boolean {
    return this.#open === 0;
  }

  /** Why records have to be sent again, as it was told last. */
  get error(): IngestError | undefined {
    return this.#error;
  }

  /** Sends the records that have no outcome yet. */
  send(producer: Producer): void {
    this.#untold = this.#open;
    this.#error = undefined;
    const outcomes = this.#outcomes;
    if (outcomes === undefined) {
      producer.send(this.batch, this);
      return;
    }
    for (let from = outcomes.indexOf(OPEN); from >= 0;) {
      let to = from;
      while (outcomes[to] === OPEN) to++;
      producer.send(this.#rest(from, to), this.#settlerOf(from));
      from = outcomes.indexOf(OPEN, to);
    }
  }

  /**
   * Records [from, to), which were sent in vain. What Kafka has taken apart once has numbers for the whole on the disk, and none
   * for its parts: after a crash all of it goes again.
   */
  #rest(from: number, to: number): SealedBatch {
    const { topic, partition, bytes } = this.batch;
    const stamps: StampKeeper = { stamp: undefined, keep: (_, kept) => queueMicrotask(kept) };
    return { topic, partition, count: to - from, bytes: sliceRecordBatch(bytes, from, to), stamps };
  }

  #settlerOf(from: number): BatchSettler {
    return {
      stored: (_, first, count) => this.stored(this.batch, from + first, count),
      failed: (_, first, count, error) => this.failed(this.batch, from + first, count, error),
    };
  }

  keep(stamp: ProducerStamp, kept: () => void): void {
    this.stamp = stamp;
    this.#callbacks.keepStamp(this.batch.partition, stamp, kept);
  }

  stored(_batch: SealedBatch, first: number, count: number): void {
    this.#set(first, count, STORED);
    this.#tell(count);
  }

  failed(batch: SealedBatch, first: number, count: number, error: IngestError): void {
    if (!isForGood(error)) {
      this.#error = error;
      this.#callbacks.bounced(error);
    } else if (this.#outcomes === undefined && this.#open === batch.count) {
      this.#set(first, count, REFUSED);
      this.refusals.push({ batch: this.batch, first, count, error });
    } else {
      for (let i = first; i < first + count; i++) {
        if (this.#set(i, 1, REFUSED) > 0) this.#refuse(i, error);
      }
    }
    this.#tell(count);
  }

  /** Adds one record to the refusals, to the last range if it continues it. */
  #refuse(record: number, error: IngestError): void {
    const last = this.refusals.at(-1);
    if (last !== undefined && last.error === error && last.first + last.count === record) {
      this.refusals[this.refusals.length - 1] = { ...last, count: last.count + 1 };
    } else {
      this.refusals.push({ batch: this.batch, first: record, count: 1, error });
    }
  }

  /** @returns how many of the records were open. */
  #set(first: number, count: number, outcome: number): number {
    if (first === 0 && count === this.batch.count && this.#outcomes === undefined) {
      const changed = this.#open;
      this.#open = 0;
      return changed;
    }
    this.#outcomes ??= new Uint8Array(this.batch.count).fill(this.#open === 0 ? outcome : OPEN);
    let changed = 0;
    for (let i = first; i < first + count; i++) {
      if (this.#outcomes[i] !== OPEN) continue;
      this.#outcomes[i] = outcome;
      changed++;
    }
    this.#open -= changed;
    return changed;
  }

  #tell(count: number): void {
    this.#untold -= count;
    assert(this.#untold >= 0, "a producer tells the outcome of each record once");
    if (this.#untold === 0) this.#callbacks.told();
  }
}

interface FlightCallbacks extends Pick<PartCallbacks, "keepStamp" | "bounced"> {
  /** Everything that was sent is told of. */
  readonly landed: (flight: Flight) => void;
  /** Takes back what its bytes lie in. */
  readonly done: (() => void) | undefined;
}

export class Flight {
  /** In its lane. */
  readonly index: number;
  readonly entry: LaneEntry;
  readonly parts: readonly FlightPart[];
  /** Of all parts together. */
  readonly bytes: number;
  readonly #callbacks: FlightCallbacks;
  /** Parts that were sent and not told of yet. */
  #inFlight = 0;

  /**
   * @param batches one for each partition.
   * @param stamps how they were sent before.
   */
  constructor(
    index: number,
    entry: LaneEntry,
    batches: readonly SealedBatch[],
    stamps: readonly Stamp[],
    callbacks: FlightCallbacks,
  ) {
    this.index = index;
    this.entry = entry;
    this.#callbacks = callbacks;
    this.bytes = batches.reduce((sum, batch) => sum + batch.bytes.length, 0);
    this.parts = batches.map((batch) => {
      const stamp = stamps.find(({ partition }) => partition === batch.partition);
      return new FlightPart(batch, stamp, { ...callbacks, told: () => this.#partTold() });
    });
  }

  get complete(): boolean {
    return this.parts.every((part) => part.complete);
  }

  /** Why it has to be sent again. */
  get error(): IngestError | undefined {
    return this.parts.find((part) => !part.complete)?.error;
  }

  get refusals(): Refusal[] {
    return this.parts.flatMap((part) => part.refusals);
  }

  /** Is anything of it with the producer? */
  get airborne(): boolean {
    return this.#inFlight > 0;
  }

  /** Its bytes are not needed any more. */
  done(): void {
    this.#callbacks.done?.();
  }

  /** Sends what is not complete. */
  send(producer: Producer): void {
    const open = this.parts.filter((part) => !part.complete);
    this.#inFlight = open.length;
    for (const part of open) part.send(producer);
  }

  #partTold(): void {
    if (--this.#inFlight === 0) this.#callbacks.landed(this);
  }
}
