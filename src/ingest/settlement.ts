// Takes the outcomes of record batches apart into those of the clients' batches, and answers each when its last is known.
//
// Invariants: every batch that was begun is answered exactly once, and then, only then, gives back its part of the byte
// budget; every record has one outcome, and is counted in the ledger under it.

import { IdleWaiters } from "../idle-waiters.ts";
import type { Clock } from "../clock.ts";
import { assert, type IngestError, reasonLabel } from "../errors.ts";
import type { Attribution } from "../telemetry/attribution.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import type { Accumulators } from "./accumulators.ts";
import type { Admission } from "./admission.ts";
import type { Batch } from "./batch.ts";
import type { BatchSettler, SealedBatch } from "./producer.ts";
import type { RecordBatch } from "./record-batch.ts";
import { StageTimes } from "./topic-meters.ts";

export class Settlement implements BatchSettler {
  readonly #admission: Admission;
  readonly #accumulators: Accumulators;
  readonly #clock: Clock;
  readonly #attribution: Attribution;
  readonly #tracing: Tracing | undefined;
  readonly #metrics: Metrics;
  /** Of batches without an event. */
  #emptyBatches: StageTimes | undefined;
  #unsettled = 0;
  #unansweredEvents = 0;
  readonly #idle: IdleWaiters;

  constructor(
    clock: Clock,
    metrics: Metrics,
    admission: Admission,
    accumulators: Accumulators,
    attribution: Attribution,
    tracing: Tracing | undefined,
  ) {
    this.#clock = clock;
    this.#idle = new IdleWaiters(clock);
    this.#admission = admission;
    this.#accumulators = accumulators;
    this.#attribution = attribution;
    this.#tracing = tracing;
    this.#metrics = metrics;
  }

  /** Batches that were begun and are not answered. */
  get unsettledBatches(): number {
    return this.#unsettled;
  }

  /** Events of these batches that have no outcome. */
  get unansweredEvents(): number {
    return this.#unansweredEvents;
  }

  /** A batch is going to be transcoded. */
  begin(): void {
    this.#unsettled++;
  }

  /** All records of a batch that was begun are with their accumulators; if there are none, it is answered now. */
  transcoded(batch: Batch): void {
    if (batch.remaining === 0) this.#answer(batch, this.#clock.monotonic());
    else this.#unansweredEvents += batch.remaining;
  }

  /** Where the batch's time is told. */
  stagesOf({ topic }: Batch): StageTimes {
    return topic?.meters.stages ?? (this.#emptyBatches ??= new StageTimes(this.#metrics));
  }

  /** Resolves when every batch is answered, or at the deadline. */
  async idle(deadlineMs: number): Promise<void> {
    if (this.#unsettled === 0) return;
    await this.#idle.wait(deadlineMs);
  }

  stored(batch: SealedBatch, first: number, count: number, baseOffset: number): void {
    const records = batch as RecordBatch;
    const { topic, durability } = records.accumulator;
    const previous = this.#attribution.enter(topic.settleLabels);
    const nowMs = this.#clock.monotonic();
    const isFirst = this.#settle(records, first, count, nowMs);
    if (records.span !== undefined) {
      this.#tracing?.settled(records, first, count, isFirst, nowMs, baseOffset, undefined);
    }
    topic.meters.countStored(durability, count);
    this.#settleRuns(records, first, count, nowMs, baseOffset, undefined);
    this.#attribution.leave(previous);
  }

  failed(batch: SealedBatch, first: number, count: number, error: IngestError): void {
    const records = batch as RecordBatch;
    const topic = records.accumulator.topic;
    const previous = this.#attribution.enter(topic.settleLabels);
    const nowMs = this.#clock.monotonic();
    const isFirst = this.#settle(records, first, count, nowMs);
    if (records.span !== undefined) {
      const failure = { type: reasonLabel(error.reason), message: error.message };
      this.#tracing?.settled(records, first, count, isFirst, nowMs, -1, failure);
    }
    topic.meters.countFailed(error.reason, count);
    this.#settleRuns(records, first, count, nowMs, -1, error);
    this.#attribution.leave(previous);
  }

  /** @returns whether these are the first of the batch. */
  #settle(batch: RecordBatch, first: number, count: number, nowMs: number): boolean {
    const isFirst = batch.remaining === batch.count;
    batch.settle(first, count);
    if (!isFirst) return false;
    const sentAtMs = batch.sentAtMs ?? nowMs;
    const { stages } = batch.accumulator.topic.meters;
    stages.queue.observe(sentAtMs - batch.openedAtMs, batch.span?.context);
    stages.produce.observe(nowMs - sentAtMs, batch.span?.context);
    return true;
  }

  /**
   * Tells every client's batch with records in [first, first + count), and answers what is complete now.
   *
   * @param baseOffset of the first of them; negative: not known.
   * @param error why they are not stored; undefined: they are.
   */
  #settleRuns(
    batch: RecordBatch,
    first: number,
    count: number,
    nowMs: number,
    baseOffset: number,
    error: IngestError | undefined,
  ): void {
    const { topic, partition } = batch.accumulator;
    const end = first + count;
    let runStart = 0;
    for (let run = 0; run < batch.runs.length && runStart < end; run++) {
      const runEnd = runStart + batch.runCounts[run]!;
      const from = Math.max(first, runStart);
      const to = Math.min(end, runEnd);
      if (from < to) {
        const origin = batch.runs[run]!;
        if (error !== undefined) {
          failRecords(origin, batch, from, to, error);
        } else {
          origin.stored += to - from;
          if (baseOffset >= 0) origin.place(topic, partition, baseOffset + from - first, to - from);
        }
        origin.remaining -= to - from;
        this.#unansweredEvents -= to - from;
        if (origin.remaining === 0) this.#answer(origin, nowMs);
      }
      runStart = runEnd;
    }
    if (batch.remaining === 0) this.#accumulators.settled(batch);
  }

  #answer(batch: Batch, nowMs: number): void {
    assert(!batch.settled, "a batch is answered once");
    batch.settled = true;
    batch.sortFailures();
    this.#admission.release(batch.admittedBytes, nowMs);
    this.stagesOf(batch).acknowledge.observe(nowMs - batch.receivedAtMs, batch.trace?.span?.context);
    batch.responder.answered(batch);
    this.#unsettled--;
    if (this.#unsettled === 0) this.#idle.release();
  }
}

/** Records [from, to) of the record batch are of this client's batch. */
function failRecords(origin: Batch, { eventIndexes }: RecordBatch, from: number, to: number, error: IngestError): void {
  const { reason, message, retryable } = error;
  for (let record = from; record < to; record++) origin.fail(eventIndexes[record]!, reason, message, retryable);
}
