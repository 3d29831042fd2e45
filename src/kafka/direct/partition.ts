// The idempotent producer of one topic-partition: what is queued, what is in flight, under which sequence. No I/O.
//
// Invariants (docs/adr/0004-direct-producer.md has their reasons):
// - A sequence is bound to exact bytes from the first send on; only a new epoch, with nothing in flight, unbinds them.
// - One batch in flight until the first acknowledgement for this leader and epoch, then up to five, because a broker without
//   state for a producer id takes any first sequence, and one with state remembers five batches.
// - After anything but a success, everything in flight comes home before the oldest batch is sent again, alone.
// - Batches reach the log in the order of `enqueue`. Every record of each is settled once.
// - An epoch is bumped locally: this producer id serves this partition only, so nobody else can be disturbed.

import type { Clock } from "../../clock.ts";
import { assert, Code, IngestError, Reason } from "../../errors.ts";
import type { BatchSettler, SealedBatch } from "../../ingest/producer.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { hasValidCrc, sliceRecordBatch, stampProducer } from "../../wire/record-batch.ts";
import { actionFor, errorName } from "./errors.ts";
import type { PartitionResult } from "./produce.ts";

const IN_FLIGHT_MAX = 5;
const PRODUCER_EPOCH_MAX = 32_767;
const SEQUENCES = 0x8000_0000;
const CORRUPT_TRIES_MAX = 3;
const BACKOFF_MS_MIN = 20;
const BACKOFF_MS_MAX = 1_000;

/** A record batch, or the part of one that is still to be stored. */
export interface Entry {
  readonly partition: PartitionProducer;
  readonly batch: SealedBatch;
  readonly settler: BatchSettler;
  /** What is sent: the batch's own bytes, or those of a part of it. */
  readonly bytes: Buffer;
  /** The records of the batch that these are. */
  readonly first: number;
  readonly count: number;
  /** Its place among the batches of the partition; parts of one share it and follow `first`. */
  readonly order: number;
  /** -1 until it is sent under the current epoch. */
  sequence: number;
  sends: number;
  corruptTries: number;
  /** It may be on the log although nobody said so. */
  unknown: boolean;
}

/** What a partition asks of those around it. Each may be called at any time, and answers later or not at all. */
export interface PartitionHost {
  /** There may be something to send, or the partition has become idle. */
  ready(partition: PartitionProducer): void;
  /** Calls `setProducerId` once there is one. */
  needProducerId(partition: PartitionProducer): void;
  /** The leader is not, or no longer, where it was thought to be. */
  leaderSuspect(partition: PartitionProducer, hint: PartitionResult["currentLeader"]): void;
  renegotiate(nodeId: number): void;
  /** Calls `ready` after the delay. */
  wake(partition: PartitionProducer, delayMs: number): void;
}

export interface PartitionDependencies {
  readonly host: PartitionHost;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: () => number;
}

export class PartitionProducer {
  readonly topic: string;
  readonly partition: number;
  readonly #dependencies: PartitionDependencies;
  /** Not in flight, in order. */
  readonly #queue: Entry[] = [];
  readonly #inFlight: Entry[] = [];
  #leader = -1;
  #leaderEpoch = -1;
  #producerId: bigint | undefined;
  #producerEpoch = 0;
  #nextSequence = 0;
  #nextOrder = 0;
  #window = 1;
  /** Everything in flight has to come home before anything is sent. */
  #comeHome = false;
  /** What has to happen once nothing is in flight. */
  #pending: "nothing" | "bump" | "new id" = "nothing";
  #blockedUntilMs = 0;
  #failuresInRow = 0;
  #queuedBytes = 0;

  constructor(topic: string, partition: number, dependencies: PartitionDependencies) {
    this.topic = topic;
    this.partition = partition;
    this.#dependencies = dependencies;
  }

  /** The broker that leads the partition; -1 if that is not known. */
  get leader(): number {
    return this.#leader;
  }

  get idle(): boolean {
    return this.#queue.length === 0 && this.#inFlight.length === 0;
  }

  /** Bytes that are not settled. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  enqueue(batch: SealedBatch, settler: BatchSettler): void {
    const { bytes, count } = batch;
    this.#queue.push(this.#entry(batch, settler, bytes, 0, count, this.#nextOrder++));
    this.#queuedBytes += bytes.length;
    this.#dependencies.metrics.kafkaQueuedBytes.with().inc(bytes.length);
    this.#dependencies.host.ready(this);
  }

  /** @param epoch of the leadership; an older one than known is ignored, unless it belongs to a new topic of this name. */
  setLeader(nodeId: number, epoch: number, newTopic = false): void {
    if (!newTopic && epoch < this.#leaderEpoch && epoch >= 0) return;
    if (nodeId !== this.#leader || epoch !== this.#leaderEpoch) {
      if (this.#leader >= 0 && nodeId !== this.#leader) this.#dependencies.metrics.kafkaLeaderMoves.with().inc();
      this.#leader = nodeId;
      this.#leaderEpoch = epoch;
      // What the old leader still has to answer must be known before the new one is asked.
      this.#window = 1;
      this.#comeHome = this.#inFlight.length > 0;
    }
    if (nodeId >= 0 && this.#queue.length > 0) this.#dependencies.host.ready(this);
  }

  setProducerId(producerId: bigint, epoch: number): void {
    this.#producerId = producerId;
    this.#producerEpoch = epoch;
    this.#nextSequence = 0;
    this.#window = 1;
    this.#dependencies.host.ready(this);
  }

  /** The batch to send now, stamped and counted as in flight; undefined if there is none or it has to wait. */
  next(): Entry | undefined {
    const entry = this.#queue[0];
    if (entry === undefined || this.#leader < 0) return undefined;
    if (this.#inFlight.length > 0 && (this.#comeHome || this.#pending !== "nothing")) return undefined;
    if (this.#inFlight.length >= this.#window) return undefined;
    if (this.#dependencies.clock.monotonic() < this.#blockedUntilMs) return undefined;
    if (this.#inFlight.length === 0) this.#allHome();
    if (this.#producerId === undefined) {
      this.#dependencies.host.needProducerId(this);
      return undefined;
    }
    this.#queue.shift();
    this.#inFlight.push(entry);
    if (entry.sequence < 0) {
      entry.sequence = this.#nextSequence;
      this.#nextSequence = (entry.sequence + entry.count) % SEQUENCES;
      stampProducer(entry.bytes, this.#producerId, this.#producerEpoch, entry.sequence);
    }
    if (entry.sends++ > 0) this.#dependencies.metrics.kafkaRetries.with().inc();
    entry.batch.sentAtMs ??= this.#dependencies.clock.monotonic();
    return entry;
  }

  /** The connection failed, or nobody answered in time: whether the batch is on the log is open. */
  lost(entry: Entry): void {
    this.#comesHome(entry);
    this.#resendUnknown(entry);
    this.#dependencies.host.leaderSuspect(this, undefined);
    this.#continue();
  }

  /** The broker answered. */
  result(entry: Entry, result: PartitionResult): void {
    this.#comesHome(entry);
    const { host, log } = this.#dependencies;
    const action = actionFor(result.errorCode);
    if (action !== "acknowledge") {
      const error = errorName(result.errorCode);
      log.debug(
        { topic: this.topic, partition: this.partition, error, message: result.errorMessage },
        "produce failed",
      );
    }
    switch (action) {
      case "acknowledge":
        this.#failuresInRow = 0;
        this.#window = IN_FLIGHT_MAX;
        this.#settled(entry.batch, entry.first, entry.count);
        entry.settler.stored(entry.batch, entry.first, entry.count, result.errorCode === 0 ? result.baseOffset : -1);
        break;
      case "resend":
        this.#resendUnknown(entry);
        host.leaderSuspect(this, undefined);
        break;
      case "move":
        this.#resend(entry);
        host.leaderSuspect(this, result.currentLeader);
        // Whoever answers "not me" has usually said who. Without that, asking at once would only hit the same broker again.
        if (result.currentLeader === undefined) this.#block();
        break;
      case "backoff":
        this.#resend(entry);
        this.#block();
        break;
      case "sequence":
        this.#outOfSequence(entry, result.errorCode);
        break;
      case "fenced":
        log.error(
          { topic: this.topic, partition: this.partition, producerId: String(this.#producerId) },
          "the broker knows a newer owner of this producer id: two processes use one spool directory?",
        );
        this.#resendUnknown(entry);
        this.#pending = "new id";
        break;
      case "split":
        this.#split(entry);
        break;
      case "corrupt":
        this.#corrupt(entry);
        break;
      case "reject":
        this.#reject(entry, result);
        break;
      case "denied": {
        const message = `Kafka refuses topic ${this.topic}: ${errorName(result.errorCode)}; grant WRITE to this service`;
        const options = { retryable: true, reason: Reason.NOT_AUTHORIZED };
        this.#fail(entry, new IngestError(Code.PERMISSION_DENIED, message, options));
        this.#block();
        break;
      }
      case "renegotiate":
        this.#resend(entry);
        this.#block();
        host.renegotiate(this.#leader);
        break;
      default:
        action satisfies never;
    }
    this.#continue();
  }

  /** Gives up what is queued; what is in flight is told when it comes home. */
  failQueued(error: IngestError): void {
    for (const entry of this.#queue.splice(0)) {
      this.#settled(entry.batch, entry.first, entry.count);
      entry.settler.failed(entry.batch, entry.first, entry.count, error);
      if (entry.sequence >= 0) this.#pending = "bump";
    }
  }

  // --- Sequences --------------------------------------------------------------------------------------------------------

  /** Nothing is in flight: what had to wait for that happens now. */
  #allHome(): void {
    if (this.#comeHome) {
      // The oldest goes first and alone; an acknowledgement that came home meanwhile was another's.
      this.#comeHome = false;
      this.#window = 1;
    }
    if (this.#pending === "nothing") return;
    if (this.#pending === "bump" && this.#producerId !== undefined && this.#producerEpoch < PRODUCER_EPOCH_MAX) {
      this.#producerEpoch++;
    } else {
      this.#producerId = undefined;
      this.#producerEpoch = 0;
    }
    this.#pending = "nothing";
    this.#nextSequence = 0;
    this.#window = 1;
    for (const entry of this.#queue) entry.sequence = -1;
  }

  #outOfSequence(entry: Entry, errorCode: number): void {
    if (!this.#isHead(entry)) {
      // A batch before it did not get through; it is behind that one now and goes after it.
      this.#resend(entry);
      return;
    }
    this.#dependencies.log.error(
      { topic: this.topic, partition: this.partition, sequence: entry.sequence, error: errorName(errorCode) },
      "the broker lost this producer's sequence: going on under a new epoch; the batch may be stored twice",
    );
    if (entry.unknown) this.#dependencies.metrics.kafkaPossibleDuplicates.with().inc();
    this.#resend(entry);
    this.#pending = "bump";
  }

  #split(entry: Entry): void {
    if (entry.count === 1) {
      const message = `the record takes ${entry.bytes.length} bytes as a batch, more than topic ${this.topic} takes (max.message.bytes)`;
      this.#fail(entry, new IngestError(Code.INVALID_ARGUMENT, message, { reason: Reason.TOO_LARGE, field: "value" }));
      return;
    }
    const half = entry.count >> 1;
    // The halves take over the whole's sequences: the broker never took a record under them.
    const second = this.#part(entry, half, entry.count);
    second.sequence = (entry.sequence + half) % SEQUENCES;
    const first = this.#part(entry, 0, half);
    first.sequence = entry.sequence;
    for (const part of [first, second]) {
      stampProducer(part.bytes, this.#producerId ?? -1n, this.#producerEpoch, part.sequence);
      this.#resend(part);
    }
  }

  #corrupt(entry: Entry): void {
    if (hasValidCrc(entry.bytes) && ++entry.corruptTries < CORRUPT_TRIES_MAX) {
      this.#resend(entry);
      this.#block();
      return;
    }
    this.#fail(
      entry,
      new IngestError(
        Code.INTERNAL,
        `Kafka found the record batch corrupt ${entry.corruptTries} times; please report this`,
      ),
    );
  }

  /** Fails the records that the broker named, and stores their neighbours; if it named none, halves find them. */
  #reject(entry: Entry, result: PartitionResult): void {
    const reason = result.errorCode === 32 ? Reason.INVALID_TIMESTAMP : Reason.REJECTED;
    const because = (message: string | undefined): IngestError =>
      new IngestError(
        Code.INVALID_ARGUMENT,
        `Kafka refused the record: ${message ?? result.errorMessage ?? errorName(result.errorCode)}`,
        { reason },
      );
    if (entry.count === 1) {
      this.#fail(entry, because(result.recordErrors[0]?.message));
      return;
    }
    this.#pending = "bump";
    const refused = new Map(result.recordErrors.map(({ index, message }) => [index, message]));
    if (refused.size === 0) {
      const half = entry.count >> 1;
      for (const part of [this.#part(entry, 0, half), this.#part(entry, half, entry.count)]) this.#resend(part);
      return;
    }
    let from = 0;
    for (let record = 0; record <= entry.count; record++) {
      if (record < entry.count && !refused.has(record)) continue;
      if (from < record) this.#resend(this.#part(entry, from, record));
      if (record < entry.count) {
        this.#settled(entry.batch, entry.first + record, 1);
        entry.settler.failed(entry.batch, entry.first + record, 1, because(refused.get(record)));
      }
      from = record + 1;
    }
  }

  // --- Queue ------------------------------------------------------------------------------------------------------------

  #entry(batch: SealedBatch, settler: BatchSettler, bytes: Buffer, first: number, count: number, order: number): Entry {
    const sent = { sequence: -1, sends: 0, corruptTries: 0, unknown: false };
    return { partition: this, batch, settler, bytes, first, count, order, ...sent };
  }

  /** Records [from, to) of an entry, as an entry. */
  #part(entry: Entry, from: number, to: number): Entry {
    const bytes = sliceRecordBatch(entry.bytes, from, to);
    return this.#entry(entry.batch, entry.settler, bytes, entry.first + from, to - from, entry.order);
  }

  #isHead(entry: Entry): boolean {
    return (
      !this.#inFlight.some((other) => isBefore(other, entry)) && !this.#queue.some((other) => isBefore(other, entry))
    );
  }

  #comesHome(entry: Entry): void {
    const at = this.#inFlight.indexOf(entry);
    assert(at >= 0, "a result belongs to a batch in flight");
    this.#inFlight.splice(at, 1);
  }

  /** Back into the queue, before everything that came after it. */
  #resend(entry: Entry): void {
    let at = this.#queue.findIndex((other) => isBefore(entry, other));
    if (at < 0) at = this.#queue.length;
    this.#queue.splice(at, 0, entry);
    this.#comeHome = true;
    this.#window = 1;
  }

  #resendUnknown(entry: Entry): void {
    entry.unknown = true;
    this.#resend(entry);
    this.#block();
  }

  /** The records are not on the log and never will be: their sequences would be a hole, so an epoch without it follows. */
  #fail(entry: Entry, error: IngestError): void {
    this.#pending = "bump";
    this.#settled(entry.batch, entry.first, entry.count);
    entry.settler.failed(entry.batch, entry.first, entry.count, error);
  }

  /** To be called before the settler is told, which may give the batch's buffer away. */
  #settled(batch: SealedBatch, first: number, count: number): void {
    // Parts share out the bytes of their batch by records, so that they add up to the whole.
    const bytes = batch.bytes.length;
    const upTo = (record: number): number => Math.floor((bytes * record) / batch.count);
    const share = upTo(first + count) - upTo(first);
    this.#queuedBytes -= share;
    this.#dependencies.metrics.kafkaQueuedBytes.with().dec(share);
  }

  #block(): void {
    const { clock, random, host } = this.#dependencies;
    const backoffMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** this.#failuresInRow++);
    const delayMs = backoffMs * (0.75 + random() / 2);
    this.#blockedUntilMs = clock.monotonic() + delayMs;
    host.wake(this, delayMs);
  }

  #continue(): void {
    if (this.#queue.length > 0 || this.idle) this.#dependencies.host.ready(this);
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.order < b.order || (a.order === b.order && a.first < b.first);
}
