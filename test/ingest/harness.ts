// A pipeline between a test and sinks that settle on command, in time that stands still.

import assert from "node:assert/strict";
import { Code, IngestError, Reason } from "../../src/errors.ts";
import { Batch, Durability, type Responder } from "../../src/ingest/batch.ts";
import { type BatchSink, Pipeline, type PipelineOptions } from "../../src/ingest/pipeline.ts";
import type { BatchSettler, SealedBatch, TopicInfo, TopicSource } from "../../src/ingest/producer.ts";
import { createMetrics, type Metrics } from "../../src/telemetry/metrics.ts";
import type { MetricSnapshot } from "../../src/telemetry/instruments.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { type PlacementRow, placementRows } from "../support/placements.ts";
import { decode, type PlainRecord } from "../wire/records.ts";
import { encodeRequest, type TestRequest } from "../wire/requests.ts";

/** A record batch that a sink was given. */
export class Sent {
  readonly batch: SealedBatch;
  readonly topic: string;
  readonly partition: number;
  readonly count: number;
  /** Read and copied when it was sent, because a settled batch's bytes belong to somebody else. */
  readonly records: readonly PlainRecord[];
  readonly length: number;
  readonly #settler: BatchSettler;

  constructor(batch: SealedBatch, settler: BatchSettler) {
    this.batch = batch;
    this.topic = batch.topic;
    this.partition = batch.partition;
    this.count = batch.count;
    this.records = decode(Buffer.from(batch.bytes));
    this.length = batch.bytes.length;
    this.#settler = settler;
    assert.equal(this.records.length, batch.count);
  }

  get values(): string[] {
    return this.records.map(({ value }) => value?.toString() ?? "null");
  }

  stored(baseOffset: number, first = 0, count = this.count - first): void {
    this.#settler.stored(this.batch, first, count, baseOffset);
  }

  failed(error: IngestError, first = 0, count = this.count - first): void {
    this.#settler.failed(this.batch, first, count, error);
  }
}

export class FakeSink implements BatchSink {
  readonly all: Sent[] = [];
  /** What nobody has taken out yet, oldest first. */
  readonly sent: Sent[] = [];
  /** Why batches are refused before they are begun. */
  refuses: IngestError | undefined;
  /** Has whoever leads the partitions enough to do? */
  isBusy = false;
  readonly #journal: Sent[];

  /** @param journal where everything is noted that goes to this sink and to others. */
  constructor(journal: Sent[]) {
    this.#journal = journal;
  }

  send(batch: SealedBatch, settler: BatchSettler): void {
    const sent = new Sent(batch, settler);
    this.all.push(sent);
    this.#journal.push(sent);
    this.sent.push(sent);
  }

  busy(): boolean {
    return this.isBusy;
  }

  refusal(): IngestError | undefined {
    return this.refuses;
  }

  /** The oldest that was not taken out. */
  next(): Sent {
    const sent = this.sent.shift();
    assert.ok(sent !== undefined, "nothing was sent");
    return sent;
  }

  /** Stores everything that was sent, and what that makes the pipeline send. @returns how many batches that was. */
  storeAll(baseOffset = -1): number {
    let batches = 0;
    for (; this.sent.length > 0; batches++) this.next().stored(baseOffset);
    return batches;
  }
}

export const TOPIC: Omit<TopicInfo, "name"> = {
  partitions: 4,
  maxBatchBytes: 1 << 20,
  timestampBeforeMaxMs: Number.POSITIVE_INFINITY,
  timestampAfterMaxMs: Number.POSITIVE_INFINITY,
  keyRequired: false,
};

export function unknownTopic(name: string): IngestError {
  return new IngestError(Code.NOT_FOUND, `topic ${name} does not exist`, {
    reason: Reason.UNKNOWN_TOPIC,
    field: "topic",
  });
}

export class FakeTopics implements TopicSource {
  readonly #known = new Map<string, TopicInfo>();
  readonly #lookups = new Map<string, PromiseWithResolvers<TopicInfo>>();
  /** Every lookup that was asked for, in order. */
  readonly asked: string[] = [];

  topic(name: string): TopicInfo | undefined {
    return this.#known.get(name);
  }

  lookup(name: string): Promise<TopicInfo> {
    this.asked.push(name);
    const lookup = Promise.withResolvers<TopicInfo>();
    this.#lookups.set(name, lookup);
    return lookup.promise;
  }

  /** Lookups without an answer. */
  get pending(): string[] {
    return [...this.#lookups.keys()];
  }

  set(name: string, info: Partial<Omit<TopicInfo, "name">> = {}): void {
    const topic = { name, ...TOPIC, ...info };
    this.#known.set(name, topic);
    this.#lookups.get(name)?.resolve(topic);
    this.#lookups.delete(name);
  }

  /** It is not there any more. */
  forget(name: string): void {
    this.#known.delete(name);
  }

  missing(name: string, error = unknownTopic(name)): void {
    this.#lookups.get(name)?.reject(error);
    this.#lookups.delete(name);
  }
}

/** What became of one batch. */
export class Outcome implements Responder {
  batch: Batch | undefined;
  error: IngestError | undefined;

  answered(batch: Batch): void {
    assert.equal(this.batch, undefined, "a batch has one outcome");
    this.batch = batch;
  }

  refused(batch: Batch, error: IngestError): void {
    this.answered(batch);
    this.error = error;
  }

  get isKnown(): boolean {
    return this.batch !== undefined;
  }

  /** The batch as it was answered. */
  get answer(): Batch {
    assert.ok(
      this.batch !== undefined && this.error === undefined,
      this.error?.message ?? "the batch has no answer yet",
    );
    return this.batch;
  }

  get refusal(): IngestError {
    assert.ok(this.error !== undefined, "the batch is not refused");
    return this.error;
  }

  /** [topic, partition, first offset, count] of each placement. */
  get placements(): PlacementRow[] {
    return placementRows(this.answer.placements);
  }
}

export interface HarnessOptions extends Partial<PipelineOptions> {
  /** False: there is no way to Kafka. */
  readonly brokers?: boolean;
  readonly topics?: Readonly<Record<string, Partial<Omit<TopicInfo, "name">>>>;
  readonly random?: () => number;
}

export interface Ledger {
  readonly received: number;
  readonly stored: number;
  readonly failed: number;
  readonly inFlight: number;
}

export class Harness {
  readonly clock = new FakeClock();
  readonly metrics: Metrics = createMetrics();
  readonly topics = new FakeTopics();
  /** Everything that was handed over, to either sink, in order. */
  readonly journal: Sent[] = [];
  readonly replicated = new FakeSink(this.journal);
  readonly persisted = new FakeSink(this.journal);
  readonly pipeline: Pipeline;

  constructor({ brokers = true, topics = { t: {} }, random = seededRandom(1), ...options }: HarnessOptions = {}) {
    for (const [name, info] of Object.entries(topics)) this.topics.set(name, info);
    this.pipeline = new Pipeline(
      {
        topics: this.topics,
        replicated: brokers ? this.replicated : undefined,
        persisted: this.persisted,
        metrics: this.metrics,
        clock: this.clock,
        random,
      },
      {
        bytesMax: 1 << 20,
        timeoutMs: 5_000,
        recordBatchBytesMax: 256 << 10,
        lingerMs: 5,
        eventsMax: 10_000,
        ...options,
      },
    );
  }

  /** Publishes without a session; its topics have to be known. */
  publish(request: TestRequest | Buffer, previous: Durability = Durability.UNSPECIFIED): Outcome {
    const bytes = Buffer.isBuffer(request) ? request : encodeRequest(request);
    const outcome = new Outcome();
    const cost = this.pipeline.admission.cost(bytes.length);
    assert.ok(this.pipeline.admission.tryAdmit(cost), "the budget has room");
    const batch = new Batch(outcome, this.clock.monotonic(), cost);
    assert.equal(this.pipeline.publish(bytes, 0, bytes.length, batch, previous), undefined, "its topics are known");
    // The bytes were only lent.
    bytes.fill(0xdd);
    return outcome;
  }

  /** Events for topic t, of one partition, without keys. */
  publishValues(values: readonly string[], partition = 0): Outcome {
    return this.publish({ topic: "t", events: values.map((value) => ({ value: Buffer.from(value), partition })) });
  }

  /** The end of the turn, in which what is idle is sealed. */
  turn(): void {
    this.clock.runImmediates();
  }

  ledger(): Ledger {
    return {
      received: total(this.metrics.eventsReceived.snapshot()),
      stored: total(this.metrics.eventsStored.snapshot()),
      failed: total(this.metrics.eventsFailed.snapshot()),
      inFlight: total(this.metrics.eventsInFlight.snapshot()),
    };
  }

  assertBalanced(): void {
    const { received, stored, failed, inFlight } = this.ledger();
    assert.equal(received, stored + failed + inFlight);
    const held = [...this.pipeline.heldEvents().values()].reduce((sum, events) => sum + events, 0);
    assert.deepEqual([held, this.pipeline.unansweredEvents], [inFlight, inFlight], "what is in flight is there");
  }

  /** Nothing is under way, and nothing was kept. */
  assertIdle(): void {
    this.assertBalanced();
    assert.equal(this.ledger().inFlight, 0);
    assert.equal(this.pipeline.unsettledBatches, 0);
    assert.equal(this.pipeline.lentBuffers, 0);
    assert.equal(this.pipeline.admission.admittedBytes, 0);
    assert.equal(this.pipeline.admission.waitingBatches, 0);
  }

  /** The topics that the ledger has series for. */
  topicLabels(): Set<string | undefined> {
    return new Set(this.metrics.eventsReceived.snapshot().series.map(([[topic]]) => topic));
  }

  /** Record batches sealed so far, by cause. */
  sealed(): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const [[, cause = ""], count] of this.metrics.recordBatches.snapshot().series)
      sums[cause] = (sums[cause] ?? 0) + Number(count);
    return sums;
  }
}

function total({ series }: MetricSnapshot): number {
  return series.reduce((sum, [, value]) => sum + (value as number), 0);
}

/** Lets promises that are settled run on. */
export async function microtasks(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}

export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

export const UNAVAILABLE = new IngestError(Code.UNAVAILABLE, "no broker", { retryable: true });
