// A record batch while it is filled, and after it is sealed, with whose events are in it.
//
// A client's batch is transcoded in one go, so its events lie side by side in each record batch: one run {client's batch,
// count} says whose a stretch of records is, and one array of integers which events they were.

import type { Clock } from "../clock.ts";
import { assert } from "../errors.ts";
import type { Linked } from "../linked-list.ts";
import type { RequestSpan, TraceIds } from "../telemetry/tracing.ts";
import { RECORD_BATCH_HEADER_BYTES, writeBatchHeader } from "../wire/record-batch.ts";
import type { EventIndex } from "../wire/publish-request.ts";
import { sizeOfRecord, sizeOfRecordBody, writeRecord } from "../wire/record.ts";
import type { Accumulator } from "./accumulator.ts";
import { type Batch, Durability } from "./batch.ts";
import type { BufferPool } from "./buffer-pool.ts";
import type { SealedBatch } from "./producer.ts";

export class RecordBatch implements SealedBatch, Linked<RecordBatch> {
  /** In the linger queue. */
  previous: RecordBatch | undefined;
  next: RecordBatch | undefined;
  readonly accumulator: Accumulator;
  readonly openedAtMs: number;
  sentAtMs?: number;
  sentTo?: string;
  /** Of the first of its requests that is recorded. */
  span: RequestSpan | undefined;
  /** Was it put into the linger queue? */
  lingers = false;
  /** Has its linger ended before it could be sealed? */
  overdue = false;
  count = 0;
  /** Records without an outcome; set when the batch is sealed. */
  remaining = 0;
  /** Whose records these are, in order: runs[i] has runCounts[i] of them; the last one's count is there once it is sealed. */
  readonly runs: Batch[] = [];
  readonly runCounts: number[] = [];
  /** For each record, the index of its event in the client's batch. No typed array: a large one lies outside of the heap. */
  readonly eventIndexes: number[] = [];
  /** Where the last run begins. */
  #runStart = 0;
  #lastOrigin: Batch | undefined;
  readonly #pool: BufferPool;
  #buffer: Buffer;
  #length = RECORD_BATCH_HEADER_BYTES;
  #baseTimestamp = 0;
  #maxTimestamp = 0;
  #bytes: Buffer | undefined;
  /** 1 for each record that is settled; made only for a batch that is not settled in one go. */
  #settled: Uint8Array | undefined;

  /** @param sizeHint how many bytes it will probably hold. */
  constructor(accumulator: Accumulator, pool: BufferPool, clock: Clock, sizeHint: number) {
    this.accumulator = accumulator;
    this.openedAtMs = clock.monotonic();
    this.#pool = pool;
    this.#buffer = pool.take(sizeHint);
  }

  get topic(): string {
    return this.accumulator.topic.name;
  }

  get partition(): number {
    return this.accumulator.partition;
  }

  get trace(): TraceIds | undefined {
    return this.span?.ids;
  }

  get persisted(): boolean {
    return this.accumulator.durability === Durability.PERSISTED;
  }

  /** Each once. */
  get calls(): Set<object> {
    return new Set(this.runs.map(({ responder }) => responder));
  }

  /** Bytes so far, header included. */
  get length(): number {
    return this.#length;
  }

  get bytes(): Buffer {
    return (this.#bytes ??= this.#buffer.subarray(0, this.#length));
  }

  /**
   * Writes one record, unless the batch would grow beyond `bytesMax`.
   *
   * @param index in which the event has a timestamp.
   * @returns whether it is in.
   */
  append(source: Buffer, index: EventIndex, event: number, batch: Batch, bytesMax: number): boolean {
    const timestamp = index.timestamps[event]!;
    const delta = this.count === 0 ? 0 : timestamp - this.#baseTimestamp;
    const bodyBytes = sizeOfRecordBody(index, event, delta, this.count);
    const end = this.#length + sizeOfRecord(bodyBytes);
    if (end > bytesMax) return false;
    if (end > this.#buffer.length) this.#grow(end);
    if (this.count === 0) {
      this.#baseTimestamp = timestamp;
      this.#maxTimestamp = timestamp;
    } else if (timestamp > this.#maxTimestamp) {
      this.#maxTimestamp = timestamp;
    }
    writeRecord(this.#buffer, this.#length, source, index, event, bodyBytes, delta, this.count);
    this.#length = end;
    if (batch !== this.#lastOrigin) this.#beginRun(batch);
    this.eventIndexes.push(event);
    this.count++;
    return true;
  }

  seal(): void {
    this.#endRun();
    writeBatchHeader(this.#buffer, this.#length, this.count, this.#baseTimestamp, this.#maxTimestamp);
    this.remaining = this.count;
  }

  /** Takes note that records [first, first + count) are settled; each is settled once, in whatever ranges. */
  settle(first: number, count: number): void {
    const end = first + count;
    assert(first >= 0 && count <= this.remaining && end <= this.count, "a record is settled once");
    if (count < this.count) {
      this.#settled ??= new Uint8Array(this.count);
      const again = this.#settled.indexOf(1, first);
      assert(again < 0 || again >= end, "a record is settled once");
      this.#settled.fill(1, first, end);
    }
    this.remaining -= count;
    this.accumulator.unsettled -= count;
  }

  /** Gives the buffer back, once every record is settled. */
  release(): void {
    this.#pool.give(this.#buffer);
    this.#bytes = undefined;
  }

  #beginRun(batch: Batch): void {
    this.#endRun();
    this.#lastOrigin = batch;
    this.runs.push(batch);
    if (batch.trace !== undefined) this.span ??= batch.trace.span;
  }

  #endRun(): void {
    if (this.count > this.#runStart) this.runCounts.push(this.count - this.#runStart);
    this.#runStart = this.count;
  }

  #grow(bytes: number): void {
    const grown = this.#pool.take(Math.max(bytes, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#pool.give(this.#buffer);
    this.#buffer = grown;
  }
}
