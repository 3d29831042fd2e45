// The idempotent producer of one topic-partition: what is queued, what is in flight, under which sequence. No I/O.
//
// Invariants (docs/adr/0004-direct-producer.md has their reasons):
// - A sequence is bound to exact bytes from the first send on; only a new epoch, with nothing in flight, unbinds them.
// - One batch in flight until the first acknowledgement for this leader and epoch, and again after a long silence, else up to
//   five, because a broker without state for a producer id takes any first sequence, and one with state remembers five batches.
// - After anything but a success, everything in flight comes home before the oldest batch is sent again, alone. What may be
//   stored always goes alone: each batch that is stored behind it brings it nearer to the end of the broker's memory.
// - Batches reach the log in the order of `enqueue`. Every record of each is settled once.
// - An epoch is bumped locally: a producer id serves one partition only, so nobody else can be disturbed. What stands before
//   the batch that made it necessary is acknowledged first, under the old epoch, because it may be on the log already.
//
// Which numbers a batch gets, and when an epoch is over, is numbering.ts's.

import { assert, Code, IngestError } from "../../errors.ts";
import type { Clock } from "../../clock.ts";
import type { BatchSettler, PartitionState, SealedBatch } from "../../ingest/producer.ts";
import type { Linked } from "../../linked-list.ts";
import type { Counter, Gauge } from "../../telemetry/instruments.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { hasValidCrc } from "../../wire/record-batch.ts";
import { bytesOfRecords } from "../bytes-of-records.ts";
import { actionFor, deniedError, errorName, rejectedError, tooLargeError } from "../errors.ts";
import { type Entry, hasKeptNumbers, isBefore, partOf, wholeEntry } from "./entry.ts";
import { Numbering } from "./numbering.ts";
import type { PartitionResult } from "./produce.ts";

const IN_FLIGHT_MAX = 5;
/** Without a batch for so long, a broker may forget a producer id (producer.id.expiration.ms is a day, unless it is set). */
const STATE_TRUSTED_MS = 600_000;
const CORRUPT_TRIES_MAX = 3;
const BACKOFF_MS_MIN = 20;
const BACKOFF_MS_MAX = 1_000;

/** What a partition asks of those around it. Each may be called at any time, and answers later or not at all. */
export interface PartitionHost {
  /** There may be something to send, or the partition has become idle. */
  ready(partition: PartitionProducer): void;
  /** Its leader is about to change. */
  unready(partition: PartitionProducer): void;
  /** Calls `setProducerId` once there is one, or `deny`. */
  needProducerId(partition: PartitionProducer): void;
  /** The leader is not, or no longer, where it was thought to be. */
  leaderSuspect(partition: PartitionProducer, hint: PartitionResult["currentLeader"]): void;
  /** The topic does not take what it was thought to take. */
  limitsSuspect(partition: PartitionProducer): void;
  renegotiate(nodeId: number): void;
  /** Calls `unblock` after the delay. */
  unblockAfter(partition: PartitionProducer, delayMs: number): void;
}

export interface PartitionDependencies {
  readonly host: PartitionHost;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: () => number;
}

export class PartitionProducer implements Linked<PartitionProducer> {
  /** Among those that are ready for the broker which leads them. */
  previous: PartitionProducer | undefined;
  next: PartitionProducer | undefined;
  readonly topic: string;
  readonly partition: number;
  /** What an operator has to mend before anything is stored here; undefined if nothing. */
  problem: string | undefined;
  readonly #dependencies: PartitionDependencies;
  readonly #queuedEventsGauge: Gauge;
  readonly #queuedBytesGauge: Gauge;
  readonly #leaderMoves: Counter;
  /** Not in flight, in order. */
  readonly #queue: Entry[] = [];
  readonly #inFlight: Entry[] = [];
  readonly #numbering: Numbering;
  #leader = -1;
  #leaderEpoch = -1;
  #nextOrder = 0;
  #window = 1;
  #acknowledgedAtMs = 0;
  /** Everything in flight has to come home before anything is sent. */
  #comeHome = false;
  /** What was in flight when the queue failed fails too, unless it turns out to be stored: it must not overtake what failed. */
  #failing: { readonly beforeOrder: number; readonly error: IngestError } | undefined;
  /** True while it waits before it tries again. */
  #blocked = false;
  #failuresInRow = 0;
  #queuedBytes = 0;
  #retries = 0;

  constructor(topic: string, partition: number, dependencies: PartitionDependencies) {
    this.topic = topic;
    this.partition = partition;
    this.#dependencies = dependencies;
    this.#queuedEventsGauge = dependencies.metrics.kafkaQueuedEvents.with();
    this.#queuedBytesGauge = dependencies.metrics.kafkaQueuedBytes.with();
    this.#leaderMoves = dependencies.metrics.kafkaLeaderMoves.with();
    this.#numbering = new Numbering(dependencies.metrics.kafkaPossibleDuplicates.with());
  }

  /** The broker that leads the partition; -1 if that is not known. */
  get leader(): number {
    return this.#leader;
  }

  get idle(): boolean {
    return this.#queue.length === 0 && this.#inFlight.length === 0;
  }

  /** Is there something to send, now or later? */
  get waiting(): boolean {
    return this.#queue.length > 0;
  }

  /** Bytes that are not settled. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** When the oldest batch that is not settled was handed over, on the monotonic clock; Infinity if there is none. */
  get oldestEnqueuedAtMs(): number {
    let oldest = this.#queue[0]?.enqueuedAtMs ?? Number.POSITIVE_INFINITY;
    for (const { enqueuedAtMs } of this.#inFlight) oldest = Math.min(oldest, enqueuedAtMs);
    return oldest;
  }

  inspect(): Omit<PartitionState, "broker"> {
    return {
      topic: this.topic,
      partition: this.partition,
      queuedBatches: this.#queue.length,
      inFlight: this.#inFlight.length,
      queuedBytes: this.#queuedBytes,
      retries: this.#retries,
      leader: this.#leader < 0 ? undefined : this.#leader,
      problem: this.problem,
    };
  }

  enqueue(batch: SealedBatch, settler: BatchSettler): void {
    const { bytes } = batch;
    this.#queue.push(wholeEntry(this, batch, settler, this.#nextOrder++, this.#dependencies.clock.monotonic()));
    this.#queuedBytes += bytes.length;
    this.#queuedEventsGauge.inc(batch.count);
    this.#queuedBytesGauge.inc(bytes.length);
    this.#dependencies.host.ready(this);
  }

  /** @param epoch of the leadership; an older one than known is ignored, unless it belongs to a new topic of this name. */
  setLeader(nodeId: number, epoch: number, newTopic = false): void {
    if (!newTopic && epoch < this.#leaderEpoch && epoch >= 0) return;
    // A new topic may have the leader and the epoch that the old one had, and knows nothing of this producer.
    if (newTopic || nodeId !== this.#leader || epoch !== this.#leaderEpoch) {
      if (this.#leader >= 0 && nodeId !== this.#leader) this.#leaderMoves.inc();
      this.#dependencies.host.unready(this);
      this.#leader = nodeId;
      this.#leaderEpoch = epoch;
      // What the old leader still has to answer must be known before the new one is asked.
      this.#window = 1;
      this.#comeHome = this.#inFlight.length > 0;
      this.#blocked = false;
    }
    if (nodeId >= 0 && this.#queue.length > 0) this.#dependencies.host.ready(this);
  }

  setProducerId(producerId: bigint, epoch: number): void {
    // Whoever asked may be gone meanwhile, and what goes next may have one.
    if (this.#numbering.assign(producerId, epoch)) {
      assert(this.#inFlight.length === 0, "a producer id does not change under batches in flight");
      this.#window = 1;
    }
    this.#dependencies.host.ready(this);
  }

  /** The batch to send now, stamped and counted as in flight; undefined if there is none or it has to wait. */
  take(): Entry | undefined {
    const entry = this.#queue[0];
    if (entry === undefined || this.#leader < 0 || this.#blocked) return undefined;
    if (this.#inFlight.length >= this.#window) return undefined;
    if (this.#inFlight.length > 0 && !this.#mayGoBeside(entry)) return undefined;
    if (this.#inFlight.length === 0) this.#allHome(entry);
    if (!this.#numbering.suits(entry)) return undefined;
    if (this.#numbering.producerId === undefined) {
      this.#dependencies.host.needProducerId(this);
      return undefined;
    }
    this.#numbering.number(entry);
    if (entry.stampKept !== "yes") {
      // As many at once as may be in flight.
      const next = this.#queue.slice(0, IN_FLIGHT_MAX - this.#inFlight.length);
      this.#numbering.keepStamps(next, () => this.#dependencies.host.ready(this));
      return undefined;
    }
    this.#queue.shift();
    this.#inFlight.push(entry);
    if (entry.sends++ > 0) this.#retries += 1;
    entry.sentTo = this.#leader;
    entry.batch.sentAtMs ??= this.#dependencies.clock.monotonic();
    return entry;
  }

  /** The connection failed, or nobody answered in time: whether the batch is on the log is open. */
  lost(entry: Entry): void {
    this.#comesHome(entry);
    this.#resendUnknown(entry);
    this.#dependencies.host.leaderSuspect(this, undefined);
    this.#blockUnlessMoved(entry);
    this.#continue();
  }

  /** The broker answered. */
  result(entry: Entry, result: PartitionResult): void {
    this.#comesHome(entry);
    const { host, log } = this.#dependencies;
    const { errorCode } = result;
    const action = actionFor(errorCode);
    if (action !== "acknowledge") {
      const reason = errorName(errorCode);
      log.debug({ ...this.#labelOf(entry), reason, message: result.errorMessage }, "produce failed");
    }
    switch (action) {
      case "acknowledge":
        this.#failuresInRow = 0;
        this.#window = IN_FLIGHT_MAX;
        this.#acknowledgedAtMs = this.#dependencies.clock.monotonic();
        this.problem = undefined;
        this.#settled(entry.batch, entry.first, entry.count);
        entry.settler.stored(entry.batch, entry.first, entry.count, errorCode === 0 ? result.baseOffset : -1);
        break;
      case "resend":
        this.#resendUnknown(entry);
        host.leaderSuspect(this, undefined);
        this.#blockUnlessMoved(entry);
        break;
      case "move":
        // A leader that moves while it waits for its replicas says the same of what it has on its log.
        this.#resendUnknown(entry);
        host.leaderSuspect(this, result.currentLeader);
        // Whoever answers "not me" has usually said who. Without that, asking at once would only hit the same broker again.
        this.#blockUnlessMoved(entry);
        break;
      case "backoff":
        this.#resend(entry);
        this.#block();
        break;
      case "sequence":
        this.#outOfSequence(entry, errorCode);
        break;
      case "fenced":
        log.error(
          { ...this.#label(), producerId: String(this.#numbering.producerId) },
          "the broker knows a newer owner of this producer id: do two processes use one spool directory?",
        );
        this.#resend(entry);
        this.#numbering.fence();
        this.#block();
        break;
      case "split":
        host.limitsSuspect(this);
        this.#split(entry);
        break;
      case "corrupt":
        this.#corrupt(entry);
        break;
      case "reject":
        host.limitsSuspect(this);
        this.#reject(entry, result);
        break;
      case "denied":
        this.#fail(entry, this.#denied(errorCode));
        this.deny(errorCode);
        break;
      case "renegotiate":
        this.#resend(entry);
        this.#block();
        host.renegotiate(entry.sentTo);
        break;
      default:
        action satisfies never;
    }
    this.#continue();
  }

  /** Tries again, whatever made it wait. */
  unblock(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#dependencies.host.ready(this);
  }

  /**
   * An operator has to act. What is queued fails, retryable, so that it does not take the room of topics that are allowed, and
   * what comes meanwhile waits a while before it is tried.
   *
   * @param errorCode that says why.
   */
  deny(errorCode: number): void {
    const error = this.#denied(errorCode);
    if (this.problem === undefined) this.#dependencies.log.error(this.#label(), error.message);
    this.problem = error.message;
    this.failQueued(error);
    this.#block();
  }

  /** Gives up what is queued, and what is in flight when it comes home, unless it is stored. */
  failQueued(error: IngestError): void {
    this.#failing = { beforeOrder: this.#nextOrder, error };
    for (const entry of this.#queue.splice(0)) {
      this.#fail(entry, error);
    }
    this.#continue();
  }

  // --- Answers ----------------------------------------------------------------------------------------------------------

  /** Everything is home, and this batch goes next: what had to wait for that happens now. */
  #allHome(head: Entry): void {
    if (this.#comeHome) {
      // The oldest goes first and alone; an acknowledgement that came home meanwhile was another's.
      this.#comeHome = false;
      this.#window = 1;
    }
    if (this.#dependencies.clock.monotonic() - this.#acknowledgedAtMs > STATE_TRUSTED_MS) this.#window = 1;
    if (this.#numbering.turnTo(head, this.#queue)) this.#window = 1;
  }

  /** May it go beside what is in flight? */
  #mayGoBeside(entry: Entry): boolean {
    return !(this.#comeHome || this.#numbering.isOver || entry.unknown || this.#inFlight[0]!.unknown);
  }

  #outOfSequence(entry: Entry, errorCode: number): void {
    // Else a batch before it did not get through, and it goes after that one.
    if (!this.#numbering.explains(entry) && this.#isHead(entry)) {
      this.#dependencies.log.error(
        { ...this.#labelOf(entry), sequence: entry.sequence, reason: errorName(errorCode), maybeStored: entry.unknown },
        "the broker lost this producer's sequence: going on under a new epoch",
      );
      this.#numbering.digHole(entry, false);
      this.#block();
    }
    this.#resend(entry);
  }

  #split(entry: Entry): void {
    if (entry.count === 1) {
      this.#fail(entry, tooLargeError(this.topic, entry.bytes.length));
      return;
    }
    const half = entry.count >> 1;
    // The halves take over the whole's sequences: the broker never took a record under them.
    for (const part of [partOf(entry, 0, half), partOf(entry, half, entry.count)]) {
      this.#numbering.numberPart(part, entry);
      this.#resend(part);
    }
  }

  #corrupt(entry: Entry): void {
    const intact = hasValidCrc(entry.bytes);
    if (intact && ++entry.corruptTries < CORRUPT_TRIES_MAX) {
      this.#resend(entry);
      this.#block();
      return;
    }
    const message = intact
      ? `Kafka found the record batch corrupt ${CORRUPT_TRIES_MAX} times, though its checksum is right here`
      : "the record batch changed in memory after it was sealed";
    this.#dependencies.log.error({ ...this.#labelOf(entry), reason: message }, "a record batch is corrupt");
    this.#fail(entry, new IngestError(Code.INTERNAL, `${message}; please report this`));
  }

  /** Fails the records that the broker named, and stores their neighbours; if it named none, halves find them. */
  #reject(entry: Entry, { errorCode, errorMessage, recordErrors }: PartitionResult): void {
    const refused = new Map<number, string | undefined>();
    for (const { index, message } of recordErrors) {
      if (index >= 0 && index < entry.count) refused.set(index, message);
    }
    if (entry.count === 1) {
      this.#fail(entry, rejectedError(errorCode, refused.get(0) ?? errorMessage));
      return;
    }
    this.#numbering.digHole(entry, !entry.unknown);
    if (refused.size === 0) {
      const half = entry.count >> 1;
      for (const part of [partOf(entry, 0, half), partOf(entry, half, entry.count)]) this.#resend(part);
      return;
    }
    // All bytes are copied before the first record is settled, which may give the batch's buffer away.
    const neighbours: Entry[] = [];
    let from = 0;
    for (const record of [...refused.keys()].sort((a, b) => a - b)) {
      if (from < record) neighbours.push(partOf(entry, from, record));
      from = record + 1;
    }
    if (from < entry.count) neighbours.push(partOf(entry, from, entry.count));
    for (const part of neighbours) this.#resend(part);
    for (const [record, message] of refused) {
      this.#settleFailed(entry, entry.first + record, 1, rejectedError(errorCode, message ?? errorMessage));
    }
  }

  // --- Queue ------------------------------------------------------------------------------------------------------------

  #isHead(entry: Entry): boolean {
    const isEarlier = (other: Entry): boolean => isBefore(other, entry);
    return !this.#inFlight.some(isEarlier) && !this.#queue.some(isEarlier);
  }

  #comesHome(entry: Entry): void {
    if (this.#inFlight[0] === entry) {
      this.#inFlight.shift();
      return;
    }
    const at = this.#inFlight.indexOf(entry);
    assert(at >= 0, "a result belongs to a batch in flight");
    this.#inFlight.splice(at, 1);
  }

  /** Back into the queue, before everything that came after it. */
  #resend(entry: Entry): void {
    if (this.#failing !== undefined && entry.order < this.#failing.beforeOrder) {
      this.#fail(entry, this.#failing.error);
      return;
    }
    let at = this.#queue.findIndex((other) => isBefore(entry, other));
    if (at < 0) at = this.#queue.length;
    this.#queue.splice(at, 0, entry);
    this.#comeHome = true;
    this.#window = 1;
  }

  #resendUnknown(entry: Entry): void {
    entry.unknown = true;
    this.#resend(entry);
  }

  /**
   * The records are told as failed. Only if an earlier send may have stored them, there may be no hole: whoever comes next finds
   * out, and is not stored twice where there is none. A spooled batch that comes again brings its numbers along.
   */
  #fail(entry: Entry, error: IngestError): void {
    const comesAgain = error.retryable && hasKeptNumbers(entry);
    if (!comesAgain) {
      if (entry.sequence >= 0 && !entry.unknown) this.#numbering.digHole(entry, true);
      // Whoever is told that it failed and may be sent again does so, under another sequence.
      if (entry.unknown && error.retryable) this.#dependencies.metrics.kafkaPossibleDuplicates.with().inc();
    }
    this.#settleFailed(entry, entry.first, entry.count, error);
  }

  #settleFailed({ batch, settler }: Entry, first: number, count: number, error: IngestError): void {
    this.#settled(batch, first, count);
    settler.failed(batch, first, count, error);
  }

  /** To be called before the settler is told, which may give the batch's buffer away. */
  #settled(batch: SealedBatch, first: number, count: number): void {
    const bytes = bytesOfRecords(batch, first, count);
    this.#queuedBytes -= bytes;
    this.#queuedEventsGauge.dec(count);
    this.#queuedBytesGauge.dec(bytes);
  }

  // --- Waiting ----------------------------------------------------------------------------------------------------------

  /** Everything that comes home from one accident is one failure: only the first of them makes the wait longer. */
  #block(): void {
    if (this.#blocked) return;
    const backoffMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** this.#failuresInRow++);
    this.#blocked = true;
    this.#dependencies.host.unblockAfter(this, backoffMs * (0.75 + this.#dependencies.random() / 2));
  }

  /** A leader that was not asked yet is asked at once. */
  #blockUnlessMoved(entry: Entry): void {
    if (entry.sentTo === this.#leader) this.#block();
  }

  #continue(): void {
    if (this.#inFlight.length === 0) this.#failing = undefined;
    if (this.#queue.length > 0 || this.idle) this.#dependencies.host.ready(this);
  }

  #label(): { topic: string; partition: number } {
    return { topic: this.topic, partition: this.partition };
  }

  /** With the trace that the batch belongs to, if one is recorded of it. */
  #labelOf({ batch }: Entry): object {
    return { ...this.#label(), ...batch.trace };
  }

  #denied(errorCode: number): IngestError {
    return deniedError(this.topic, errorCode);
  }
}
