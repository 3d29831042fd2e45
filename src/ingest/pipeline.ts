// The way of a batch inside a worker: parse, resolve its topics, transcode into accumulators (accumulators.ts), hand over,
// settle (settlement.ts).
//
// Everything up to the accumulators runs in one go for a batch, without a promise and without an object per event; the only
// reason to wait is a topic that is not known yet.
//
// Invariants: every admitted batch is answered or refused exactly once, and then, only then, gives back its part of the byte
// budget; a batch is refused whole before its first record is written, or not at all.

import type { Clock } from "../clock.ts";
import { assert, Code, IngestError } from "../errors.ts";
import { type Attribution, noAttribution } from "../telemetry/attribution.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { RequestTrace, Tracing } from "../telemetry/tracing.ts";
import { addHeaders } from "../wire/added-headers.ts";
import { COLUMN, EventIndex, INVALID_TIMESTAMP, NO_TIMESTAMP, ROW } from "../wire/publish-request.ts";
import { Accumulators, type AccumulatorsOptions } from "./accumulators.ts";
import { Admission, type AdmissionOptions } from "./admission.ts";
import { type Batch, Durability, type GivenDurability } from "./batch.ts";
import { keyMissing, limitNotKnown, TIMESTAMP_ERROR, timestampOutside, tooLarge } from "./event-errors.ts";
import { choosePartition, OUT_OF_RANGE, outOfRange } from "./partitioner.ts";
import type { BatchSettler, SealedBatch, TopicSource } from "./producer.ts";
import type { RecordBatch } from "./record-batch.ts";
import { Settlement } from "./settlement.ts";
import { type Topic, Topics } from "./topics.ts";

/** Where sealed record batches of one durability go. */
export interface BatchSink {
  /** Why a client's batch of this size would not be stored, if that is known before it is begun: it is refused whole then. */
  refusal?(bytes: number): IngestError | undefined;
  /** As in Producer. */
  busy?(topic: string, partition: number): boolean;
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
  readonly attribution?: Attribution;
  /** Undefined: nothing is traced. */
  readonly tracing?: Tracing | undefined;
}

export interface PipelineOptions extends AdmissionOptions, AccumulatorsOptions {
  readonly eventsMax: number;
}

/** What the buffer pool keeps for later beside what is admitted, as a part of the byte budget. */
const POOL_SHARE = 0.5;

export class Pipeline {
  readonly admission: Admission;
  readonly defaultDurability: GivenDurability;
  readonly #topics: Topics;
  readonly #sinks: Record<GivenDurability, BatchSink | undefined>;
  readonly #accumulators: Accumulators;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #attribution: Attribution;
  readonly #index: EventIndex;
  readonly #settlement: Settlement;

  constructor(dependencies: PipelineDependencies, options: PipelineOptions) {
    const { clock, metrics, attribution = noAttribution } = dependencies;
    this.#attribution = attribution;
    this.#topics = new Topics(dependencies.topics, clock, metrics, attribution, () => this.#accumulators.sealOpen());
    this.#sinks = { 1: dependencies.replicated, 2: dependencies.persisted };
    this.defaultDurability = dependencies.replicated === undefined ? Durability.PERSISTED : Durability.REPLICATED;
    this.#clock = clock;
    this.#random = dependencies.random;
    const keptBytesMax = options.bytesMax * POOL_SHARE;
    this.#accumulators = new Accumulators(
      clock,
      metrics,
      options,
      keptBytesMax,
      ({ durability, topic, partition }) => this.#sinks[durability]?.busy?.(topic.name, partition) === true,
      (batch) => this.#handOver(batch),
    );
    this.#index = new EventIndex(options.eventsMax);
    this.admission = new Admission(clock, metrics, options, dependencies.random);
    this.#settlement = new Settlement(
      clock,
      metrics,
      this.admission,
      this.#accumulators,
      attribution,
      dependencies.tracing,
    );
  }

  /** Batches that are admitted and not answered. */
  get unsettledBatches(): number {
    return this.#settlement.unsettledBatches;
  }

  /** Events in record batches that have no outcome, by topic; O(topic-partitions). */
  heldEvents(): ReadonlyMap<string, number> {
    return this.#topics.heldEvents();
  }

  /** Forgets topics that are gone, and what is told of them; O(topic-partitions). */
  retireTopics(): void {
    this.#topics.retireGone();
  }

  /** Events that batches without an answer still wait for. */
  get unansweredEvents(): number {
    return this.#settlement.unansweredEvents;
  }

  /** Buffers of record batches that are not settled; 0 when nothing is under way. */
  get lentBuffers(): number {
    return this.#accumulators.lentBuffers;
  }

  /**
   * Takes an admitted batch.
   *
   * @param buffer whose bytes [start, end) are a PublishRequest; read only during the call.
   * @param previous the durability of the stream's batch before this one.
   * @returns undefined if the batch is taken (or refused); else what to wait for before calling again with the same bytes.
   */
  publish(
    buffer: Buffer,
    start: number,
    end: number,
    batch: Batch,
    previous: Durability,
  ): Promise<unknown> | undefined {
    const index = this.#index;
    let durability: GivenDurability;
    try {
      index.parse(buffer, start, end);
      durability = this.#durability(index.durability);
      const refusal = index.count === 0 ? undefined : this.#sinks[durability]?.refusal?.(end - start);
      if (refusal !== undefined) throw refusal;
    } catch (thrown) {
      batch.sequence = index.sequence;
      this.refuse(batch, IngestError.from(thrown));
      return undefined;
    }
    const batchTopic =
      index.count > 0 && index.topicLength > 0
        ? this.#topics.get(textAt(buffer, index.topicStart, index.topicLength), durability)
        : undefined;
    const missing = this.#missingTopics(buffer, batch, durability, batchTopic);
    if (missing !== undefined) return missing;
    // The two durabilities have accumulators of their own: what came before on the stream has to be on its way first.
    if (previous !== Durability.UNSPECIFIED && previous !== durability) this.#accumulators.sealOpen();
    batch.sequence = index.sequence;
    batch.durability = durability;
    this.#settlement.begin();
    if (batch.trace !== undefined) this.#addContext(buffer, batch, batch.trace);
    batch.responder.caller?.events.inc(index.count);
    this.#transcode(buffer, batch, durability, batchTopic);
    const span = batch.trace?.span;
    span?.admitted(this.#clock.monotonic(), index.count, batchTopic?.name);
    const admitMs = end - start <= QUICK_BYTES && !batch.waited ? 0 : this.#clock.monotonic() - batch.receivedAtMs;
    this.#settlement.stagesOf(batch).admit.observe(admitMs, span?.context);
    this.#settlement.transcoded(batch);
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

  /** Resolves when every batch is answered, or at the deadline. */
  async drain(deadlineMs: number): Promise<void> {
    this.#accumulators.sealOpen();
    await this.#settlement.idle(deadlineMs);
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
  #missingTopics(
    bytes: Buffer,
    batch: Batch,
    durability: GivenDurability,
    batchTopic: Topic | undefined,
  ): Promise<unknown> | undefined {
    const index = this.#index;
    if (index.count === 0 || batch.lookedUp || (batchTopic !== undefined && !index.hasEventTopics)) return undefined;
    const names = new Set<string>();
    for (let event = 0; event < index.count; event++) {
      const length = index.rows[event * ROW + COLUMN.topicLength]!;
      if (length >= 0) names.add(textAt(bytes, index.rows[event * ROW + COLUMN.topicStart]!, length));
      else if (batchTopic === undefined) names.add(textAt(bytes, index.topicStart, index.topicLength));
    }
    const missing = [...names].filter((name) => this.#topics.get(name, durability) === undefined);
    if (missing.length === 0) return undefined;
    batch.lookedUp = true;
    return Promise.all(missing.map((name) => this.#topics.lookup(name)));
  }

  #transcode(bytes: Buffer, batch: Batch, durability: GivenDurability, knownTopic: Topic | undefined): void {
    const index = this.#index;
    const now = this.#clock.recentNow();
    let batchTopic = knownTopic;
    if (batchTopic !== undefined && !index.hasEventTopics) {
      batch.topic = batchTopic;
      this.#markTopic(batch, batchTopic);
      batchTopic.meters.countReceived(index.count);
      for (let event = 0; event < index.count; event++) {
        this.#append(bytes, batch, event, batchTopic, durability, now);
      }
      return;
    }
    for (let event = 0; event < index.count; event++) {
      const length = index.rows[event * ROW + COLUMN.topicLength]!;
      const topic =
        length < 0
          ? (batchTopic ??= this.#topics.afterLookup(textAt(bytes, index.topicStart, index.topicLength), durability))
          : this.#topics.afterLookup(textAt(bytes, index.rows[event * ROW + COLUMN.topicStart]!, length), durability);
      batch.topic ??= topic;
      this.#markTopic(batch, topic);
      topic.meters.countReceived(1);
      this.#append(bytes, batch, event, topic, durability, now);
    }
  }

  /** Records carry the context of their request. What that adds to them counts: it may be more than the client sent. */
  #addContext(source: Buffer, batch: Batch, { headers, headerCount }: RequestTrace): void {
    const bytes = addHeaders(this.#index, source, headers, headerCount) * headers.length;
    batch.admittedBytes += bytes;
    this.admission.charge(bytes);
  }

  #markTopic(batch: Batch, topic: Topic): void {
    const { origin } = batch.responder;
    if (origin !== undefined) this.#attribution.mark(origin.of(topic.label));
  }

  /** Checks one event and writes its record, or fails it. */
  #append(source: Buffer, batch: Batch, event: number, topic: Topic, durability: GivenDurability, nowMs: number): void {
    const index = this.#index;
    if (topic.error !== undefined) return this.#failEvent(batch, event, topic, topic.error);
    const info = topic.info;
    const timestamp = index.timestamps[event]!;
    if (timestamp === NO_TIMESTAMP) {
      index.timestamps[event] = nowMs;
    } else {
      if (timestamp === INVALID_TIMESTAMP) return this.#failEvent(batch, event, topic, TIMESTAMP_ERROR);
      if (nowMs - timestamp > info.timestampBeforeMaxMs || timestamp - nowMs > info.timestampAfterMaxMs) {
        return this.#failEvent(batch, event, topic, timestampOutside(topic, timestamp, nowMs));
      }
    }
    if (info.keyRequired && index.rows[event * ROW + COLUMN.keyLength]! < 0) {
      return this.#failEvent(batch, event, topic, keyMissing(topic));
    }
    const partition = choosePartition(topic, source, index, event, this.#random);
    if (partition === OUT_OF_RANGE) {
      const error = outOfRange(topic, index.rows[event * ROW + COLUMN.partition]!);
      return this.#failEvent(batch, event, topic, this.#forNow(topic, error));
    }
    const bytes = this.#accumulators.append(topic, durability, partition, source, index, event, batch);
    if (bytes > 0) return this.#failEvent(batch, event, topic, this.#forNow(topic, tooLarge(topic, bytes)));
    batch.remaining++;
  }

  /** While the cluster is away a topic's limits are only assumed: what is beyond them may fit later. */
  #forNow(topic: Topic, error: IngestError): IngestError {
    const assumed = topic.info.partitions === 0 && this.#sinks[Durability.REPLICATED] !== undefined;
    return assumed ? limitNotKnown(error) : error;
  }

  #failEvent(batch: Batch, event: number, topic: Topic, error: IngestError): void {
    batch.fail(event, error.reason, error.message, error.retryable);
    topic.meters.countFailed(error.reason, 1);
  }

  #handOver(batch: RecordBatch): void {
    const sink = this.#sinks[batch.accumulator.durability];
    assert(sink !== undefined, "a batch is refused before it enters an accumulator without a sink");
    const previous = this.#attribution.enter(batch.accumulator.topic.produceLabels);
    sink.send(batch, this.#settlement);
    this.#attribution.leave(previous);
  }
}

/**
 * A batch of so few bytes that did not wait is admitted within the first bucket of the histogram; asking the clock would cost as much
 * as the rest of that.
 */
const QUICK_BYTES = 4_096;

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
