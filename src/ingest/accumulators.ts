// The accumulators of a worker: writes each record into the open batch of its partition, and decides when that is sealed.
//
// Touched accumulators are looked at once at the end of the turn of the event loop, so that all the batches which one read
// from the sockets brought share record batches. Rejected: sealing at the end of each client's batch, which makes a record
// batch of every unary call.
//
// An idle partition's batch waits all the same while its broker has a request to answer, unless it is large (what Nagle's rule
// is to a connection): sent alone it would cost Kafka and this worker as much as those of all partitions together. It goes with
// the answer, along with what that makes ready, or when its linger ends. Without a linger nothing waits.
//
// Invariants: record batches of one accumulator are handed over in the order in which they were filled; an open batch was
// touched in this turn or is in the linger queue, so `sealOpen` finds every one.

import type { Clock } from "../clock.ts";
import { assert } from "../errors.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { EventIndex } from "../wire/publish-request.ts";
import { RECORD_BATCH_HEADER_BYTES } from "../wire/record-batch.ts";
import { sizeOfRecord, sizeOfRecordBody } from "../wire/record.ts";
import { Accumulator, IN_FLIGHT_MAX } from "./accumulator.ts";
import type { Batch, GivenDurability } from "./batch.ts";
import { BufferPool } from "./buffer-pool.ts";
import { LingerQueue } from "./linger.ts";
import type { RecordBatch } from "./record-batch.ts";
import type { SealCause } from "./topic-meters.ts";
import type { Topic } from "./topics.ts";

export interface AccumulatorsOptions {
  /** A record batch is sealed before it grows beyond this; a larger record gets a batch of its own. Bytes. */
  readonly recordBatchBytesMax: number;
  readonly lingerMs: number;
}

/** A batch of so many bytes is worth a request of its own. */
const HELD_BYTES_MAX = 32 << 10;

export class Accumulators {
  readonly #clock: Clock;
  readonly #options: AccumulatorsOptions;
  readonly #isBusy: (accumulator: Accumulator) => boolean;
  readonly #handOver: (batch: RecordBatch) => void;
  readonly #pool: BufferPool;
  readonly #lingering: LingerQueue;
  readonly #touched: Accumulator[] = [];
  #pumpScheduled = false;
  /** Made once: a function that makes a closure somewhere allocates for it at each call, not only where it does. */
  readonly #pumpNow = (): void => this.#pump();
  /** Idle partitions whose open batches wait because their broker is busy. */
  #held: Accumulator[] = [];
  #releaseScheduled = false;

  /**
   * @param keptBytesMax how many bytes of buffers are kept for later.
   * @param isBusy whether something is under way to the broker of the partition, so that a small batch may wait for its answer.
   * @param handOver takes each sealed batch; whoever has it calls `settled` when all its records are.
   */
  constructor(
    clock: Clock,
    metrics: Metrics,
    options: AccumulatorsOptions,
    keptBytesMax: number,
    isBusy: (accumulator: Accumulator) => boolean,
    handOver: (batch: RecordBatch) => void,
  ) {
    this.#clock = clock;
    this.#options = options;
    this.#isBusy = isBusy;
    this.#handOver = handOver;
    this.#pool = new BufferPool(keptBytesMax);
    this.#lingering = new LingerQueue(clock, options.lingerMs, (batch) => this.#lingerEnded(batch));
    metrics.accumulatorEvents.with().read = () => this.#sum(({ count }) => count);
    metrics.accumulatorBytes.with().read = () => this.#sum(({ length }) => length);
    metrics.accumulatorOldestAge.with().read = () => this.#oldestAgeSeconds();
  }

  /** Buffers of record batches that are not settled; 0 when nothing is under way. */
  get lentBuffers(): number {
    return this.#pool.lentBuffers;
  }

  /**
   * Writes the record of an event.
   *
   * @returns 0 if it is in; else what it takes as a record batch, in bytes, which is more than its topic takes.
   */
  append(
    topic: Topic,
    durability: GivenDurability,
    partition: number,
    source: Buffer,
    index: EventIndex,
    event: number,
    batch: Batch,
  ): number {
    const accumulators = topic.accumulators[durability];
    const accumulator = (accumulators[partition + 1] ??= new Accumulator(topic, partition, durability));
    const bytesMax = Math.min(topic.info.maxBatchBytes, this.#options.recordBatchBytesMax);
    const open = accumulator.open ?? accumulator.begin(this.#pool, this.#clock);
    if (!open.append(source, index, event, batch, bytesMax)) {
      const bytes = this.#appendToNext(accumulator, source, index, event, batch, bytesMax);
      if (bytes > 0) return bytes;
    }
    if (!accumulator.touched && accumulator.open !== undefined) {
      accumulator.touched = true;
      this.#touched.push(accumulator);
      if (!this.#pumpScheduled) {
        this.#pumpScheduled = true;
        this.#clock.setImmediate(this.#pumpNow);
      }
    }
    return 0;
  }

  /** As `append`, for a record that does not fit into what is left of the open batch. */
  #appendToNext(
    accumulator: Accumulator,
    source: Buffer,
    index: EventIndex,
    event: number,
    batch: Batch,
    bytesMax: number,
  ): number {
    const bytes = RECORD_BATCH_HEADER_BYTES + sizeOfRecord(sizeOfRecordBody(index, event, 0, 0));
    if (bytes > accumulator.topic.info.maxBatchBytes) {
      accumulator.discardEmpty();
      return bytes;
    }
    // The open batch goes first; then a record that is too large for any has one to itself.
    this.#seal(accumulator, "full");
    const next = accumulator.open ?? accumulator.begin(this.#pool, this.#clock);
    const fits = next.append(source, index, event, batch, Math.max(bytes, bytesMax));
    assert(fits, "a batch of its own has room for a record");
    if (bytes > bytesMax) this.#seal(accumulator, "full");
    return 0;
  }

  /** Seals everything that is open, so that what comes next cannot overtake it. */
  sealOpen(): void {
    for (const accumulator of this.#touched) this.#seal(accumulator, "flush");
    for (const batch of this.#lingering.toArray()) this.#seal(batch.accumulator, "flush");
  }

  /** Every record of the batch is settled: its buffer is free, and the next batch of its partition may go. */
  settled(batch: RecordBatch): void {
    batch.release();
    const accumulator = batch.accumulator;
    accumulator.inFlight--;
    if (this.#held.length > 0) this.#releaseSoon();
    const { open, inFlight } = accumulator;
    if (open === undefined) return;
    if (inFlight === 0 || (open.overdue && inFlight < IN_FLIGHT_MAX)) this.#seal(accumulator, "settled");
  }

  #pump(): void {
    this.#pumpScheduled = false;
    for (const accumulator of this.#touched) {
      accumulator.touched = false;
      if (accumulator.open === undefined) continue;
      if (accumulator.inFlight === 0 && !this.#mayWait(accumulator, accumulator.open)) this.#seal(accumulator, "idle");
      else if (!accumulator.open.lingers) this.#lingering.add(accumulator.open);
    }
    this.#touched.length = 0;
  }

  #mayWait(accumulator: Accumulator, open: RecordBatch): boolean {
    if (open.length >= HELD_BYTES_MAX || this.#options.lingerMs === 0 || !this.#isBusy(accumulator)) return false;
    if (!accumulator.waitsForBroker) this.#held.push(accumulator);
    accumulator.waitsForBroker = true;
    return true;
  }

  /** Once all that one answer tells is settled, and before what it makes ready is sent, so that all of it leaves together. */
  #releaseSoon(): void {
    if (this.#releaseScheduled) return;
    this.#releaseScheduled = true;
    queueMicrotask(() => {
      this.#releaseScheduled = false;
      this.#release();
    });
  }

  #release(): void {
    const held = this.#held;
    this.#held = [];
    for (const accumulator of held) {
      accumulator.waitsForBroker = false;
      // Else it was sealed meanwhile, or waits for its own partition.
      if (accumulator.open === undefined || accumulator.inFlight > 0) continue;
      if (!this.#mayWait(accumulator, accumulator.open)) this.#seal(accumulator, "answered");
    }
  }

  /** With as many in flight as a producer may have, sealing now would only make smaller batches wait in a longer queue. */
  #lingerEnded({ accumulator }: RecordBatch): void {
    if (accumulator.inFlight < IN_FLIGHT_MAX) this.#seal(accumulator, "linger");
  }

  #seal(accumulator: Accumulator, cause: SealCause): void {
    const batch = accumulator.seal();
    if (batch === undefined) return;
    if (batch.lingers) this.#lingering.delete(batch);
    accumulator.topic.meters.countSealed(cause, batch.length, batch.count);
    this.#handOver(batch);
  }

  /** Record batches that are open; to be asked at the end of a turn, when none is between two lists. */
  *#open(): Generator<RecordBatch> {
    for (const { open } of this.#touched) if (open !== undefined && !open.lingers) yield open;
    yield* this.#lingering.toArray();
  }

  #sum(of: (batch: RecordBatch) => number): number {
    let sum = 0;
    for (const batch of this.#open()) sum += of(batch);
    return sum;
  }

  #oldestAgeSeconds(): number {
    const nowMs = this.#clock.monotonic();
    let openedAtMs = nowMs;
    for (const batch of this.#open()) openedAtMs = Math.min(openedAtMs, batch.openedAtMs);
    return (nowMs - openedAtMs) / 1000;
  }
}
