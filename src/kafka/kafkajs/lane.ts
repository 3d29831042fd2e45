// The batches of one topic-partition on their way through kafkajs: one at a time, in order, again until they are stored or
// refused for good.
//
// At least once: kafkajs does not tell whether a request that failed was stored, and it is sent again.

import type { Clock, Timer } from "../../clock.ts";
import { Code, IngestError, Reason } from "../../errors.ts";
import type { BatchSettler, PartitionState, SealedBatch } from "../../ingest/producer.ts";
import type { Gauge } from "../../telemetry/instruments.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { sliceRecordBatch } from "../../wire/record-batch.ts";
import { bytesOfRecords } from "../bytes-of-records.ts";
import { deniedError, ErrorCode, errorName, rejectedError, tooLargeError } from "../errors.ts";
import { type Failure, failureOf } from "./failure.ts";
import { UnansweredError } from "./session.ts";

const BACKOFF_MS_MIN = 50;
const BACKOFF_MS_MAX = 1_000;
const CORRUPT_TRIES_MAX = 3;
/** How long batches wait for a topic or partition that is gone; it may be about to be created again. */
const GONE_TIMEOUT_MS = 15_000;

/** A batch, or the part of one that is still to be stored. */
interface Part {
  readonly batch: SealedBatch;
  readonly settler: BatchSettler;
  readonly bytes: Buffer;
  /** The records of the batch that these are. */
  readonly first: number;
  readonly count: number;
  /** When the batch was handed over, in milliseconds on the monotonic clock. */
  readonly enqueuedAtMs: number;
  corruptTries: number;
}

/** Stores one batch. Resolves with the offset of its first record, rejects with whatever kafkajs has to say. */
export type Send = (topic: string, partition: number, batch: Buffer) => Promise<number>;

export interface LaneDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: () => number;
  readonly send: Send;
  /** Of a partition; its broker's address. */
  readonly leaderOf: (topic: string, partition: number) => string;
  /** The topic does not take what it was thought to take, or is gone. */
  readonly topicSuspect: (topic: string) => void;
  readonly onIdle: () => void;
}

export class Lane {
  readonly topic: string;
  readonly partition: number;
  /** What an operator has to mend before anything is stored here. */
  problem: string | undefined;
  readonly #dependencies: LaneDependencies;
  readonly #queuedEvents: Gauge;
  readonly #queuedBytes: Gauge;
  #queue: Part[] = [];
  #running = false;
  #failuresInRow = 0;
  #retries = 0;
  #sending = false;
  #goneSinceMs: number | undefined;
  #wake: { readonly timer: Timer; readonly resolve: () => void } | undefined;

  constructor(topic: string, partition: number, dependencies: LaneDependencies) {
    this.topic = topic;
    this.partition = partition;
    this.#dependencies = dependencies;
    this.#queuedEvents = dependencies.metrics.kafkaQueuedEvents.with();
    this.#queuedBytes = dependencies.metrics.kafkaQueuedBytes.with();
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  /** When the oldest batch that is not settled was handed over, on the monotonic clock; Infinity if there is none. */
  get oldestEnqueuedAtMs(): number {
    return this.#queue[0]?.enqueuedAtMs ?? Number.POSITIVE_INFINITY;
  }

  inspect(): PartitionState {
    // The one that is under way is the first of the queue.
    const inFlight = this.#sending ? 1 : 0;
    return {
      topic: this.topic,
      partition: this.partition,
      queuedBatches: Math.max(0, this.#queue.length - inFlight),
      inFlight,
      queuedBytes: this.#queue.reduce((sum, { bytes }) => sum + bytes.length, 0),
      retries: this.#retries,
      leader: undefined,
      broker: undefined,
      problem: this.problem,
    };
  }

  enqueue(batch: SealedBatch, settler: BatchSettler): void {
    const enqueuedAtMs = this.#dependencies.clock.monotonic();
    const { bytes, count } = batch;
    this.#queue.push({ batch, settler, bytes, first: 0, count, enqueuedAtMs, corruptTries: 0 });
    this.#queuedEvents.inc(count);
    this.#queuedBytes.inc(batch.bytes.length);
    if (!this.#running) void this.#run();
  }

  /** Gives up everything. What is under way may be stored all the same. */
  failAll(error: IngestError): void {
    for (const part of this.#queue.splice(0)) this.#failed(part, 0, part.count, error);
    if (this.#wake !== undefined) {
      this.#dependencies.clock.clearTimeout(this.#wake.timer);
      this.#wake.resolve();
    }
    this.#dependencies.onIdle();
  }

  /** kafkajs does not say whom it has asked: it was the leader, as far as that is known. */
  get #broker(): string {
    return this.#dependencies.leaderOf(this.topic, this.partition);
  }

  async #run(): Promise<void> {
    this.#running = true;
    // Nothing is settled from within `send`.
    await Promise.resolve();
    for (let part = this.#queue[0]; part !== undefined; part = this.#queue[0]) await this.#store(part);
    this.#running = false;
    this.#dependencies.onIdle();
  }

  async #store(part: Part): Promise<void> {
    const { send, clock, metrics } = this.#dependencies;
    part.batch.sentAtMs ??= clock.monotonic();
    part.batch.sentTo = this.#broker;
    const inFlight = metrics.kafkaInFlight.with(this.#broker);
    metrics.kafkaRetries.with(this.#broker);
    inFlight.inc();
    this.#sending = true;
    let outcome: number | Failure | IngestError;
    try {
      outcome = await send(this.topic, this.partition, part.bytes);
    } catch (thrown) {
      if (thrown instanceof IngestError) outcome = thrown;
      else if (thrown instanceof UnansweredError) outcome = unanswered(thrown);
      else outcome = failureOf(thrown);
    }
    inFlight.dec();
    this.#sending = false;
    // It was given up meanwhile.
    if (this.#queue[0] !== part) return;
    if (typeof outcome === "number") {
      this.#failuresInRow = 0;
      this.#goneSinceMs = undefined;
      this.problem = undefined;
      this.#queue.shift();
      this.#settled(part.batch, part.first, part.count);
      part.settler.stored(part.batch, part.first, part.count, outcome);
    } else if (outcome instanceof IngestError) {
      this.#isolate(part, outcome);
    } else {
      await this.#refused(part, outcome);
    }
  }

  async #refused(part: Part, failure: Failure): Promise<void> {
    const { log, metrics, topicSuspect } = this.#dependencies;
    const { action, errorCode, message } = failure;
    const label = { topic: this.topic, partition: this.partition, ...part.batch.trace };
    log.debug({ ...label, reason: message }, "produce failed");
    if (errorCode !== undefined) metrics.kafkaErrors.with(this.#broker, errorName(errorCode)).inc();
    switch (action) {
      case "split":
        topicSuspect(this.topic);
        this.#isolate(part, tooLargeError(this.topic, part.bytes.length));
        return;
      case "reject":
        topicSuspect(this.topic);
        this.#isolate(part, rejectedError(errorCode ?? ErrorCode.INVALID_RECORD, message));
        return;
      case "denied": {
        const error = deniedError(this.topic, errorCode ?? ErrorCode.TOPIC_AUTHORIZATION_FAILED);
        if (this.problem === undefined) log.error({ topic: this.topic, partition: this.partition }, error.message);
        this.problem = error.message;
        this.failAll(error);
        // What comes meanwhile waits before it is tried.
        await this.#backOff();
        return;
      }
      case "corrupt":
        if (++part.corruptTries < CORRUPT_TRIES_MAX) break;
        this.#giveUp(
          part,
          new IngestError(Code.INTERNAL, `Kafka found the records corrupt ${CORRUPT_TRIES_MAX} times`),
        );
        return;
      case "bug":
        log.error({ ...label, reason: message }, "kafkajs cannot send a batch");
        this.#giveUp(part, new IngestError(Code.INTERNAL, `kafkajs cannot send the records: ${message}`));
        return;
      case "acknowledge":
      case "resend":
      case "move":
      case "backoff":
      case "sequence":
      case "fenced":
      case "renegotiate":
        break;
      default:
        action satisfies never;
    }
    if (this.#isGone(errorCode)) {
      this.failAll(
        new IngestError(
          Code.NOT_FOUND,
          `topic ${this.topic} or its partition ${this.partition} is gone: create it again`,
          {
            retryable: true,
            reason: Reason.UNKNOWN_TOPIC,
            field: "topic",
          },
        ),
      );
      return;
    }
    this.#retries += 1;
    metrics.kafkaRetries.with(this.#broker).inc();
    if (failure.maybeStored) metrics.kafkaPossibleDuplicates.with().inc();
    await this.#backOff();
  }

  #isGone(errorCode: number | undefined): boolean {
    if (errorCode !== ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) {
      this.#goneSinceMs = undefined;
      return false;
    }
    const now = this.#dependencies.clock.monotonic();
    this.#goneSinceMs ??= now;
    this.#dependencies.topicSuspect(this.topic);
    return now - this.#goneSinceMs >= GONE_TIMEOUT_MS;
  }

  /** Halves find the record that cannot be stored; its neighbours are. */
  #isolate(part: Part, error: IngestError): void {
    if (part.count === 1) {
      this.#giveUp(part, error);
      return;
    }
    const half = part.count >> 1;
    const slice = (from: number, to: number): Part => ({
      ...part,
      bytes: sliceRecordBatch(part.bytes, from, to),
      first: part.first + from,
      count: to - from,
    });
    this.#queue.splice(0, 1, slice(0, half), slice(half, part.count));
  }

  #giveUp(part: Part, error: IngestError): void {
    this.#queue.shift();
    this.#failed(part, 0, part.count, error);
  }

  async #backOff(): Promise<void> {
    const { clock, random } = this.#dependencies;
    const backoffMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** this.#failuresInRow++);
    await new Promise<void>((resolve) => {
      this.#wake = { resolve, timer: clock.setTimeout(resolve, backoffMs * (0.75 + random() / 2)) };
    });
    this.#wake = undefined;
  }

  #failed({ batch, settler, first }: Part, from: number, count: number, error: IngestError): void {
    this.#settled(batch, first + from, count);
    settler.failed(batch, first + from, count, error);
  }

  /** To be called before the settler is told, which may give the batch's buffer away. */
  #settled(batch: SealedBatch, first: number, count: number): void {
    this.#queuedEvents.dec(count);
    this.#queuedBytes.dec(bytesOfRecords(batch, first, count));
  }
}

function unanswered({ message }: UnansweredError): Failure {
  return { action: "move", errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message, maybeStored: false };
}
