// The way of a batch inside a worker: parse, resolve its topics, transcode into accumulators, seal, hand over, settle.
//
// Everything up to the accumulators runs in one go for a batch, without a promise and without an object per event; the only
// reason to wait is a topic that is not known yet. Touched accumulators are looked at once at the end of the turn of the
// event loop, so that all the batches which one read from the sockets brought share record batches.
//
// Invariants: every admitted batch is answered or refused exactly once, and then, only then, gives back its part of the byte
// budget; a batch is refused whole before its first record is written, or not at all; record batches of one accumulator are
// handed over in the order in which they were filled.

import type { Clock } from "../clock.ts";
import { assert, Code, IngestError, Reason } from "../errors.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { COLUMN, EventIndex, INVALID_TIMESTAMP, NO_TIMESTAMP, ROW } from "../wire/publish-request.ts";
import { RECORD_BATCH_HEADER_BYTES } from "../wire/record-batch.ts";
import { sizeOfRecord, sizeOfRecordBody } from "../wire/record.ts";
import { Accumulator, IN_FLIGHT_MAX } from "./accumulator.ts";
import { Admission, type AdmissionOptions } from "./admission.ts";
import { type Batch, Durability, type GivenDurability } from "./batch.ts";
import { BufferPool } from "./buffer-pool.ts";
import { choosePartition, OUT_OF_RANGE, outOfRange } from "./partitioner.ts";
import type { BatchSettler, SealedBatch } from "./producer.ts";
import type { RecordBatch } from "./record-batch.ts";
import { type Topic, Topics, type TopicSource } from "./topics.ts";

/** Where sealed record batches of one durability go. */
export interface BatchSink {
  send(batch: SealedBatch, settler: BatchSettler): void;
}

export interface PipelineDependencies {
  readonly topics: TopicSource;
  /** Absent while no brokers are set. */
  readonly replicated: BatchSink | undefined;
  readonly persisted: BatchSink;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
}

export interface PipelineOptions extends AdmissionOptions {
  /** A record batch is sealed before it grows beyond this; a larger record gets a batch of its own. Bytes. */
  readonly recordBatchBytesMax: number;
  readonly lingerMs: number;
  readonly eventsMax: number;
}

/** What the pool keeps for later beside what is admitted, as a part of the byte budget. */
const POOL_SHARE = 0.5;

export class Pipeline implements BatchSettler {
  readonly admission: Admission;
  readonly defaultDurability: GivenDurability;
  readonly #topics: Topics;
  readonly #sinks: Record<GivenDurability, BatchSink | undefined>;
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #options: PipelineOptions;
  readonly #pool: BufferPool;
  readonly #index: EventIndex;
  readonly #touched: Accumulator[] = [];
  /** Batches that wait for their linger to end, oldest first; those sealed meanwhile are passed over. */
  #lingering: RecordBatch[] = [];
  #pumpScheduled = false;
  #lingerScheduled = false;
  #unsettled = 0;
  #onIdle: (() => void) | undefined;

  constructor(dependencies: PipelineDependencies, options: PipelineOptions) {
    this.#topics = new Topics(dependencies.topics, dependencies.clock, dependencies.metrics);
    this.#sinks = { 1: dependencies.replicated, 2: dependencies.persisted };
    this.defaultDurability = dependencies.replicated === undefined ? Durability.PERSISTED : Durability.REPLICATED;
    this.#metrics = dependencies.metrics;
    this.#clock = dependencies.clock;
    this.#random = dependencies.random;
    this.#options = options;
    this.#pool = new BufferPool(options.bytesMax * POOL_SHARE);
    this.#index = new EventIndex(options.eventsMax);
    this.admission = new Admission(dependencies.clock, options);
  }

  /** Batches that are admitted and not answered. */
  get unsettledBatches(): number {
    return this.#unsettled;
  }

  /** Buffers of record batches that are not settled; 0 when nothing is under way. */
  get lentBuffers(): number {
    return this.#pool.lentBuffers;
  }

  /**
   * Takes an admitted batch.
   *
   * @param bytes of the PublishRequest; read only during the call.
   * @param previous the durability of the stream's batch before this one.
   * @returns undefined if the batch is taken (or refused); else what to wait for before calling again with the same bytes.
   */
  publish(bytes: Buffer, batch: Batch, previous: Durability): Promise<unknown> | undefined {
    const index = this.#index;
    let durability: GivenDurability;
    try {
      index.parse(bytes);
      durability = this.#durability(index.durability);
    } catch (thrown) {
      batch.sequence = index.sequence;
      this.refuse(batch, IngestError.from(thrown));
      return undefined;
    }
    const batchTopic =
      index.count > 0 ? this.#topics.get(textAt(bytes, index.topicStart, index.topicLength)) : undefined;
    const missing = this.#missingTopics(bytes, batchTopic);
    if (missing !== undefined) return missing;
    // The two durabilities have accumulators of their own: what came before on the stream has to be on its way first.
    if (previous !== Durability.UNSPECIFIED && previous !== durability) this.sealOpen();
    batch.sequence = index.sequence;
    batch.durability = durability;
    this.#unsettled++;
    this.#transcode(bytes, batch, durability, batchTopic);
    this.#metrics.stage.with("admitted").observe(this.#clock.monotonic() - batch.receivedAtMs);
    if (batch.remaining === 0) this.#answer(batch);
    return undefined;
  }

  /** The sequence of a request that will not be taken, as far as it can be read. */
  sequenceOf(bytes: Buffer): number | bigint {
    try {
      this.#index.parse(bytes);
    } catch {
      // What is broken comes behind the sequence or is the sequence; either way the index holds what could be read.
    }
    return this.#index.sequence;
  }

  /** Refuses an admitted batch as a whole, before anything of it is taken. */
  refuse(batch: Batch, error: IngestError): void {
    this.admission.release(batch.admittedBytes);
    batch.settled = true;
    batch.responder.refused(batch, error);
  }

  /** Seals everything that is open, so that what comes next cannot overtake it. */
  sealOpen(): void {
    for (const accumulator of this.#touched) this.#seal(accumulator, "flush");
    for (const batch of this.#lingering) {
      if (batch.accumulator.open === batch) this.#seal(batch.accumulator, "flush");
    }
  }

  /** Resolves when every batch is answered, or at the deadline. */
  async drain(deadlineMs: number): Promise<void> {
    this.sealOpen();
    if (this.#unsettled === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimeout(resolve, Math.max(0, deadlineMs - this.#clock.now()));
      this.#onIdle = () => {
        this.#clock.clearTimeout(timer);
        resolve();
      };
    });
  }

  // --- Transcode --------------------------------------------------------------------------------------------------------

  #durability(asked: number): GivenDurability {
    switch (asked) {
      case Durability.UNSPECIFIED:
        return this.defaultDurability;
      case Durability.PERSISTED:
        return asked;
      case Durability.REPLICATED:
        if (this.#sinks[asked] !== undefined) return asked;
        throw new IngestError(
          Code.FAILED_PRECONDITION,
          "durability REPLICATED needs Kafka: start the service with KAFKA_BROKERS=host:port, or ask for PERSISTED",
          { field: "durability" },
        );
      default:
        throw new IngestError(
          Code.INVALID_ARGUMENT,
          `durability ${asked} is not known: use 0 (the server's default), 1 (REPLICATED) or 2 (PERSISTED)`,
          { field: "durability" },
        );
    }
  }

  /** Undefined if every topic of the indexed batch is known, or known to fail. */
  #missingTopics(bytes: Buffer, batchTopic: Topic | undefined): Promise<unknown> | undefined {
    const index = this.#index;
    if (index.count === 0 || (batchTopic !== undefined && !index.hasEventTopics)) return undefined;
    const names = new Set<string>();
    for (let event = 0; event < index.count; event++) {
      const length = index.rows[event * ROW + COLUMN.topicLength]!;
      if (length >= 0) names.add(textAt(bytes, index.rows[event * ROW + COLUMN.topicStart]!, length));
      else if (batchTopic === undefined) names.add(textAt(bytes, index.topicStart, index.topicLength));
    }
    const missing = [...names].filter((name) => this.#topics.get(name) === undefined);
    return missing.length === 0 ? undefined : Promise.all(missing.map((name) => this.#topics.lookup(name)));
  }

  #transcode(bytes: Buffer, batch: Batch, durability: GivenDurability, batchTopic: Topic | undefined): void {
    const index = this.#index;
    const now = this.#clock.now();
    if (batchTopic !== undefined && !index.hasEventTopics) {
      batchTopic.countReceived(index.count);
      for (let event = 0; event < index.count; event++) {
        this.#append(bytes, batch, event, batchTopic, durability, now);
      }
      return;
    }
    for (let event = 0; event < index.count; event++) {
      const length = index.rows[event * ROW + COLUMN.topicLength]!;
      const topic =
        length < 0 ? batchTopic : this.#topics.get(textAt(bytes, index.rows[event * ROW + COLUMN.topicStart]!, length));
      assert(topic !== undefined, "topics are resolved before a batch is transcoded");
      topic.countReceived(1);
      this.#append(bytes, batch, event, topic, durability, now);
    }
  }

  /** Checks one event and writes its record, or fails it. */
  #append(source: Buffer, batch: Batch, event: number, topic: Topic, durability: GivenDurability, nowMs: number): void {
    const index = this.#index;
    if (topic.error !== undefined) return this.#failEvent(batch, event, topic, topic.error);
    const given = index.timestamps[event]!;
    const timestamp = given === NO_TIMESTAMP ? nowMs : given;
    const info = topic.info;
    if (timestamp === INVALID_TIMESTAMP) return this.#failEvent(batch, event, topic, TIMESTAMP_ERROR);
    if (nowMs - timestamp > info.timestampBeforeMaxMs || timestamp - nowMs > info.timestampAfterMaxMs) {
      return this.#failEvent(batch, event, topic, timestampOutside(topic, timestamp, nowMs));
    }
    if (info.keyRequired && index.rows[event * ROW + COLUMN.keyLength]! < 0) {
      return this.#failEvent(batch, event, topic, keyMissing(topic));
    }
    const partition = choosePartition(topic, source, index, event, this.#random);
    if (partition === OUT_OF_RANGE) {
      return this.#failEvent(batch, event, topic, outOfRange(topic, index.rows[event * ROW + COLUMN.partition]!));
    }
    let accumulator = topic.accumulators[durability].get(partition);
    if (accumulator === undefined) {
      accumulator = new Accumulator(topic, partition, durability);
      topic.accumulators[durability].set(partition, accumulator);
    }
    const bytesMax = Math.min(info.maxBatchBytes, this.#options.recordBatchBytesMax);
    if (!this.#tryAppend(accumulator, source, event, timestamp, batch, bytesMax)) {
      // It does not fit into what is left. The open batch goes first; then the record has one to itself, if need be a large one.
      this.#seal(accumulator, "full");
      if (!this.#tryAppend(accumulator, source, event, timestamp, batch, bytesMax)) {
        const bytes = RECORD_BATCH_HEADER_BYTES + sizeOfRecord(sizeOfRecordBody(index, event, 0, 0));
        if (bytes > info.maxBatchBytes) {
          accumulator.discardEmpty();
          return this.#failEvent(batch, event, topic, tooLarge(topic, bytes));
        }
        this.#tryAppend(accumulator, source, event, timestamp, batch, bytes);
        this.#seal(accumulator, "full");
      }
    }
    batch.remaining++;
    if (!accumulator.touched && accumulator.open !== undefined) {
      accumulator.touched = true;
      this.#touched.push(accumulator);
      if (!this.#pumpScheduled) {
        this.#pumpScheduled = true;
        this.#clock.setImmediate(() => this.#pump());
      }
    }
  }

  #tryAppend(
    accumulator: Accumulator,
    source: Buffer,
    event: number,
    timestamp: number,
    batch: Batch,
    bytesMax: number,
  ): boolean {
    return accumulator.append(source, this.#index, event, timestamp, batch, bytesMax, this.#pool, this.#clock);
  }

  #failEvent(batch: Batch, event: number, topic: Topic, error: IngestError): void {
    batch.fail(event, error.reason, error.message, error.retryable);
    topic.countFailed(error.reason, 1);
  }

  // --- Seal -------------------------------------------------------------------------------------------------------------

  #pump(): void {
    this.#pumpScheduled = false;
    for (const accumulator of this.#touched) {
      accumulator.touched = false;
      if (accumulator.open === undefined) continue;
      if (accumulator.inFlight === 0) this.#seal(accumulator, "idle");
      else if (!accumulator.open.lingers) this.#linger(accumulator.open);
    }
    this.#touched.length = 0;
  }

  #linger(batch: RecordBatch): void {
    batch.lingers = true;
    this.#lingering.push(batch);
    if (!this.#lingerScheduled) this.#scheduleLinger(batch);
  }

  #scheduleLinger(first: RecordBatch): void {
    this.#lingerScheduled = true;
    const delayMs = first.openedAtMs + this.#options.lingerMs - this.#clock.monotonic();
    this.#clock.setTimeout(() => this.#endLinger(), Math.max(1, delayMs));
  }

  #endLinger(): void {
    this.#lingerScheduled = false;
    const dueMs = this.#clock.monotonic() - this.#options.lingerMs;
    let at = 0;
    for (; at < this.#lingering.length; at++) {
      const batch = this.#lingering[at]!;
      const accumulator = batch.accumulator;
      if (accumulator.open !== batch) continue;
      if (batch.openedAtMs > dueMs) break;
      // With as many in flight as a producer may have, sealing now would only make smaller batches wait in a longer queue.
      if (accumulator.inFlight < IN_FLIGHT_MAX) this.#seal(accumulator, "linger");
    }
    this.#lingering = this.#lingering.slice(at);
    if (this.#lingering.length > 0) this.#scheduleLinger(this.#lingering[0]!);
  }

  #seal(accumulator: Accumulator, cause: "idle" | "full" | "linger" | "settled" | "flush"): void {
    const batch = accumulator.seal();
    if (batch === undefined) return;
    this.#metrics.recordBatches.with(cause).inc();
    this.#metrics.recordBatchBytes.with().inc(batch.length);
    const sink = this.#sinks[accumulator.durability];
    assert(sink !== undefined, "a batch is refused before it enters an accumulator without a sink");
    sink.send(batch, this);
  }

  // --- Settle -----------------------------------------------------------------------------------------------------------

  stored(batch: SealedBatch, first: number, count: number, baseOffset: number): void {
    const records = batch as RecordBatch;
    const { topic, partition, durability } = records.accumulator;
    topic.countStored(durability, count);
    this.#eachRun(records, first, count, (origin, from, to) => {
      origin.stored += to - from;
      if (baseOffset >= 0) origin.place(topic, partition, baseOffset + from - first, to - from);
    });
  }

  failed(batch: SealedBatch, first: number, count: number, error: IngestError): void {
    const records = batch as RecordBatch;
    const topic = records.accumulator.topic;
    topic.countFailed(error.reason, count);
    this.#eachRun(records, first, count, (origin, from, to) => {
      for (let record = from; record < to; record++) {
        origin.fail(records.eventIndexes[record]!, error.reason, error.message, error.retryable);
      }
    });
  }

  /** Tells every client's batch with records in [first, first + count), and settles what is complete now. */
  #eachRun(
    batch: RecordBatch,
    first: number,
    count: number,
    tell: (origin: Batch, from: number, to: number) => void,
  ): void {
    assert(batch.remaining >= count, "a record is settled once");
    const end = first + count;
    const now = this.#clock.monotonic();
    if (batch.remaining === batch.count) this.#observe(batch, now);
    batch.remaining -= count;
    let runStart = 0;
    for (let run = 0; run < batch.runs.length && runStart < end; run++) {
      const runEnd = runStart + batch.runCounts[run]!;
      const from = Math.max(first, runStart);
      const to = Math.min(end, runEnd);
      if (from < to) {
        const origin = batch.runs[run]!;
        tell(origin, from, to);
        origin.remaining -= to - from;
        if (origin.remaining === 0) this.#answer(origin);
      }
      runStart = runEnd;
    }
    if (batch.remaining === 0) this.#settledBatch(batch);
  }

  #observe(batch: RecordBatch, now: number): void {
    const sentAtMs = batch.sentAtMs ?? now;
    this.#metrics.stage.with("queued").observe(sentAtMs - batch.openedAtMs);
    this.#metrics.stage.with("produced").observe(now - sentAtMs);
  }

  #settledBatch(batch: RecordBatch): void {
    batch.release();
    const accumulator = batch.accumulator;
    accumulator.inFlight--;
    if (accumulator.inFlight === 0 && accumulator.open !== undefined) this.#seal(accumulator, "settled");
  }

  #answer(batch: Batch): void {
    assert(!batch.settled, "a batch is answered once");
    batch.settled = true;
    batch.sortFailures();
    this.admission.release(batch.admittedBytes);
    this.#metrics.stage.with("acknowledged").observe(this.#clock.monotonic() - batch.receivedAtMs);
    batch.responder.answered(batch);
    this.#unsettled--;
    if (this.#unsettled === 0) this.#onIdle?.();
  }
}

/** Topic names come again and again, so the last one is kept as it is. */
let lastText = "";
let lastBytes: Buffer = Buffer.alloc(0);

function textAt(bytes: Buffer, start: number, length: number): string {
  if (length === lastBytes.length) {
    let at = 0;
    while (at < length && bytes[start + at] === lastBytes[at]) at++;
    if (at === length) return lastText;
  }
  lastText = bytes.toString("utf8", start, start + length);
  lastBytes = Buffer.from(bytes.subarray(start, start + length));
  return lastText;
}

const TIMESTAMP_ERROR = new IngestError(
  Code.INVALID_ARGUMENT,
  "timestamp is out of range: seconds must lie between 0 (1970) and 253402300799 (9999), nanos between 0 and 999999999",
  { reason: Reason.INVALID_TIMESTAMP, field: "timestamp" },
);

function timestampOutside(topic: Topic, timestamp: number, nowMs: number): IngestError {
  const { timestampBeforeMaxMs, timestampAfterMaxMs } = topic.info;
  const [limit, side, setting] =
    timestamp < nowMs
      ? [timestampBeforeMaxMs, "before", "message.timestamp.before.max.ms"]
      : [timestampAfterMaxMs, "after", "message.timestamp.after.max.ms"];
  return new IngestError(
    Code.INVALID_ARGUMENT,
    `timestamp ${new Date(timestamp).toISOString()} lies more than ${limit} ms ${side} now (${setting} of topic ${topic.name})`,
    { reason: Reason.INVALID_TIMESTAMP, field: "timestamp" },
  );
}

function keyMissing(topic: Topic): IngestError {
  return new IngestError(Code.INVALID_ARGUMENT, `topic ${topic.name} is compacted: its events need a key`, {
    reason: Reason.MISSING_KEY,
    field: "key",
  });
}

function tooLarge(topic: Topic, bytes: number): IngestError {
  return new IngestError(
    Code.INVALID_ARGUMENT,
    `the event takes ${bytes} bytes as a record batch, topic ${topic.name} takes ${topic.info.maxBatchBytes} (max.message.bytes)`,
    { reason: Reason.TOO_LARGE, field: "value" },
  );
}
