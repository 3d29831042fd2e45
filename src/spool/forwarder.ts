// Brings what is in the spool to Kafka, beside the live traffic.
//
// The problem: after an hour without Kafka there are gigabytes to bring, and what is live must not wait for them, nor one
// topic for another. So lanes take turns, a bounded number of bytes is under way, and a lane that does not move (its topic
// does not exist, its leader is away) gives its share back. Rejected: reading the segments from front to back and sending
// what comes; the first batch that cannot go would stop everything behind it.
//
// Invariants:
// - Batches of a partition are sent in the order in which they were persisted, also when some have to be sent again.
// - A batch is marked as done only when Kafka, or the synced dead-letter log, has every record of it. Marks may lag behind:
//   after a crash a batch may be sent twice, but never not at all.
// - Before a batch is sent for the first time, the spool keeps under which producer id and sequence; after a crash it goes
//   again under the same, as the same bytes, and Kafka knows it. At most five batches of a partition are kept so and not
//   marked as done, because Kafka remembers five.
// - What an operator can mend (a topic that is not there, or not allowed) waits; only what Kafka refuses for good becomes a
//   dead letter, and what the disk cannot give back does.

import type { Clock, Timer } from "../clock.ts";
import { assert, Code, IngestError, Reason } from "../errors.ts";
import { type Producer, type SealedBatch, type TopicInfo, UNASSIGNED_PARTITION } from "../ingest/producer.ts";
import { IdleWaiters } from "../idle-waiters.ts";
import type { Component } from "../lifecycle.ts";
import { type Attribution, noAttribution } from "../telemetry/attribution.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { TopicBacklog } from "./backlog.ts";
import { BatchReader, DamagedBatch, type LentBatch } from "./batch-reader.ts";
import { Burials } from "./burials.ts";
import type { DeadLetterSink } from "./dead-letters.ts";
import type { BatchEntry } from "./entries.ts";
import { FaultKind, Faults } from "./faults.ts";
import { errorCode, type FileSystem } from "./file-system.ts";
import { Flight, type Refusal } from "./flight.ts";
import { ForwardBudget } from "./forward-budget.ts";
import { ForwardTopics } from "./forward-topics.ts";
import type { Lane, LaneEntry } from "./lane.ts";
import { LaneForwarder } from "./lane-forwarder.ts";
import type { Spool, SpoolHealth } from "./spool.ts";

export interface ForwarderDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly fs: FileSystem;
  readonly spool: Spool;
  readonly producer: Producer;
  readonly deadLetters: DeadLetterSink;
  readonly attribution?: Attribution;
  /**
   * Splits a batch without a partition into one for each partition that its records belong to, each in their order. The same
   * for the same number in [0, 1).
   */
  readonly repartition: (batch: SealedBatch, partitions: number, choice: number) => SealedBatch[];
}

export interface ForwarderOptions {
  /** Bytes of batches under way; lanes that do not move may hold three times as much beside that. */
  readonly bytesInFlightMax?: number;
}

const BYTES_IN_FLIGHT_MAX = 16 * 1024 * 1024;
const TICK_MS = 1000;
/** Its multiples, without their whole part, are spread evenly. */
const GOLDEN_RATIO = 0.618_033_988_749_895;
/** A batch that the disk fails to give back is given up after so many tries. */
const READS_MAX = 5;

export class Forwarder implements Component {
  readonly #clock: Clock;
  readonly #spool: Spool;
  readonly #producer: Producer;
  readonly #attribution: Attribution;
  readonly #repartition: ForwarderDependencies["repartition"];
  readonly #reader: BatchReader;
  readonly #faults: Faults;
  readonly #budget: ForwardBudget;
  readonly #burials: Burials;
  readonly #topics: ForwardTopics;
  readonly #lanes = new Map<Lane, LaneForwarder>();
  readonly #queue: LaneForwarder[] = [];
  #state: "new" | "running" | "draining" | "closed" = "new";
  #pumping = false;
  /** Batches that are with the producer. */
  #airborne = 0;
  #timer: Timer | undefined;
  readonly #idle: IdleWaiters;

  constructor(dependencies: ForwarderDependencies, options: ForwarderOptions = {}) {
    this.#clock = dependencies.clock;
    this.#idle = new IdleWaiters(dependencies.clock);
    this.#spool = dependencies.spool;
    this.#producer = dependencies.producer;
    this.#attribution = dependencies.attribution ?? noAttribution;
    this.#repartition = dependencies.repartition;
    this.#reader = new BatchReader(dependencies.fs);
    this.#faults = new Faults(dependencies);
    this.#budget = new ForwardBudget(options.bytesInFlightMax ?? BYTES_IN_FLIGHT_MAX);
    this.#burials = new Burials(dependencies);
    this.#topics = new ForwardTopics(dependencies, (topic) => this.#wakeTopic(topic));
  }

  /** Begins to forward. The spool, the dead-letter log and the producer are started before. */
  async start(): Promise<void> {
    if (this.#state !== "new") return;
    this.#state = "running";
    this.#spool.onReadable((lane) => this.#wake(lane));
    for (const topic of this.#spool.backlogs.topics()) this.#wakeTopic(topic);
    this.#tick();
  }

  health(): SpoolHealth {
    const problems = this.#topics.problems();
    const { error } = this.#burials;
    if (error !== undefined) problems.push(`dead letters cannot be written: ${error.message}`);
    return { problems };
  }

  /** Sends nothing more, and resolves when what is with the producer has landed. What has not, stays in the spool. */
  async drain(deadlineMs: number): Promise<void> {
    if (this.#state !== "running") return;
    this.#state = "draining";
    if (this.#isIdle()) return;
    await this.#idle.wait(deadlineMs);
  }

  async dispose(): Promise<void> {
    this.#state = "closed";
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    for (const forwarder of this.#lanes.values()) forwarder.dispose();
    this.#topics.dispose();
    this.#burials.dispose();
    await this.#reader.dispose();
  }

  // --- What goes next ---------------------------------------------------------------------------------------------------

  #wake(lane: Lane): void {
    if (this.#state !== "running") return;
    let forwarder = this.#lanes.get(lane);
    if (forwarder === undefined) {
      const topic = this.#spool.backlogs.topic(lane.topic);
      const labels = this.#attribution.ofTopic("forward", lane.topic);
      forwarder = new LaneForwarder(topic, lane, labels, this.#clock, (ready) => this.#enqueue(ready));
      this.#lanes.set(lane, forwarder);
    }
    this.#enqueue(forwarder);
  }

  #wakeTopic(topic: TopicBacklog): void {
    if (topic.unassigned.waiting > 0) this.#wake(topic.unassigned);
    for (const lane of topic.lanes.values()) if (lane.waiting > 0) this.#wake(lane);
  }

  /** What is done may be what other lanes of the topic wait for. */
  #wakeOthers({ topic, lane }: LaneForwarder): void {
    if (lane === topic.unassigned || topic.unassigned.backlog > 0) this.#wakeTopic(topic);
  }

  #enqueue(forwarder: LaneForwarder): void {
    if (!forwarder.queued) {
      forwarder.queued = true;
      this.#queue.push(forwarder);
    }
    this.#pump();
  }

  #pump(): void {
    if (this.#pumping || this.#state !== "running" || this.#queue.length === 0) return;
    this.#pumping = true;
    this.#clock.setImmediate(() => void this.#run());
  }

  /** Lanes take turns: each sends one batch and goes to the end of the queue. */
  async #run(): Promise<void> {
    while (this.#state === "running") {
      const forwarder = this.#queue.shift();
      if (forwarder === undefined) break;
      forwarder.queued = false;
      this.#attribution.mark(forwarder.labels);
      const next = forwarder.next(this.#budget.laneBytesMax);
      if (next === undefined) continue;
      if (next !== "new") this.#send(forwarder, next);
      else if ((await this.#sendNew(forwarder)) === "no room") break;
    }
    this.#pumping = false;
  }

  /** Sends the lane's next batch, if its topic is known, there is room for it, and the disk gives it back. */
  async #sendNew(forwarder: LaneForwarder): Promise<"no room" | "looked at"> {
    const info = this.#topics.info(forwarder.topic);
    if (info === undefined) return "looked at";
    const entry = forwarder.lane.peek();
    assert(entry !== undefined, "a lane with a next batch has one");
    if (!this.#budget.hasRoom(entry.bytes)) {
      forwarder.queued = true;
      this.#queue.unshift(forwarder);
      return "no room";
    }
    let batch: LentBatch | undefined;
    try {
      batch = this.#reader.get(entry);
      if (batch === undefined) {
        await this.#reader.load(entry);
        this.#attribution.mark(forwarder.labels);
        // What happened meanwhile may have made the lane wait; it comes again, and what was read is kept.
        if (forwarder.next(this.#budget.laneBytesMax) !== "new") return "looked at";
        batch = this.#reader.get(entry);
      }
    } catch (thrown) {
      if (this.#state === "running") this.#unreadable(forwarder, entry, thrown);
      return "looked at";
    }
    assert(batch !== undefined, "what was loaded is there");
    forwarder.readFailures = 0;
    if (this.#state === "running") this.#depart(forwarder, entry, batch, info);
    else this.#reader.give(batch);
    return "looked at";
  }

  /** A batch that is damaged or gone becomes a dead letter, so that somebody is told; for other errors it is tried again. */
  #unreadable(forwarder: LaneForwarder, entry: LaneEntry, cause: unknown): void {
    const why = cause instanceof Error ? cause.message : String(cause);
    const code = errorCode(cause);
    forwarder.readFailures++;
    if (cause instanceof DamagedBatch || code === "ENOENT" || (code === "EIO" && forwarder.readFailures >= READS_MAX)) {
      this.#faults.tell(FaultKind.CORRUPT, `a batch of ${entry.count} events cannot be read back: ${why}`, {
        error: cause,
      });
      const { topic, partition } = forwarder.lane;
      const bytes = cause instanceof DamagedBatch ? cause.bytes : Buffer.alloc(0);
      const batch = { topic, partition, count: entry.count, bytes };
      const error = new IngestError(Code.INTERNAL, `the spool's bytes are damaged: ${why}`, {
        reason: Reason.REJECTED,
      });
      void this.#bury(forwarder, forwarder.lane.take(), entry, [{ batch, first: 0, count: entry.count, error }]);
      this.#enqueue(forwarder);
      return;
    }
    this.#faults.tell(FaultKind.READ, `${entry.segment.path} cannot be read now; it is tried again`, { error: cause });
    forwarder.pause(
      new IngestError(Code.UNAVAILABLE, `the spool cannot be read (${code ?? why})`, { retryable: true, cause }),
    );
    this.#topics.note(forwarder);
  }

  // --- Send and land ----------------------------------------------------------------------------------------------------

  #depart(forwarder: LaneForwarder, entry: LaneEntry, batch: LentBatch, info: TopicInfo): void {
    const { lane } = forwarder;
    const index = lane.take();
    // A topic that has fewer partitions than when the batch was sent is another one.
    const sentBefore = this.#spool.stampsOf(entry);
    const stamps = sentBefore.every(({ partition }) => partition < info.partitions) ? sentBefore : [];
    const isWhole = batch.partition !== UNASSIGNED_PARTITION;
    const partitions = isWhole ? 0 : (stamps[0]?.partitions ?? info.partitions);
    let batches: SealedBatch[];
    try {
      batches = isWhole ? [batch] : this.#split(batch, partitions, entry.sequence);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const error = new IngestError(Code.INTERNAL, `the batch cannot be split by partitions: ${why}`, { cause });
      const refusals = [{ batch, first: 0, count: batch.count, error }];
      void this.#bury(forwarder, index, entry, refusals).then(() => this.#reader.give(batch));
      this.#enqueue(forwarder);
      return;
    }
    // What it was split into has bytes of its own.
    if (!isWhole) this.#reader.give(batch);
    const flight = new Flight(index, entry, batches, stamps, {
      keepStamp: (partition, stamp, kept) => this.#spool.keepStamp(entry, { partition, partitions, ...stamp }, kept),
      // At once, not when all of it has landed: the next batch must not overtake the part that is sent again.
      bounced: (error) => forwarder.pause(error),
      landed: (landed) => this.#landed(forwarder, landed),
      done: isWhole ? (): void => this.#reader.give(batch) : undefined,
    });
    forwarder.add(flight);
    this.#budget.add(forwarder, flight.bytes);
    this.#send(forwarder, flight);
  }

  /** The same parts each time, also in another process: what was sent has to go again as the same bytes. */
  #split(batch: BatchEntry, partitions: number, sequence: number): SealedBatch[] {
    const batches = this.#repartition(batch, partitions, (sequence * GOLDEN_RATIO) % 1);
    const records = batches.reduce((sum, { count }) => sum + count, 0);
    assert(records === batch.count, `${batch.count} records became ${records}`);
    return batches;
  }

  #send(forwarder: LaneForwarder, flight: Flight): void {
    this.#airborne++;
    forwarder.sent();
    this.#budget.moved(forwarder, this.#clock.monotonic());
    flight.send(this.#producer);
    this.#enqueue(forwarder);
  }

  #landed(forwarder: LaneForwarder, flight: Flight): void {
    this.#airborne--;
    if (this.#state === "closed") return;
    const previous = this.#attribution.enter(forwarder.labels);
    this.#budget.moved(forwarder, this.#clock.monotonic());
    if (flight.complete) {
      forwarder.completed(flight);
      this.#budget.add(forwarder, -flight.bytes);
      this.#completed(forwarder, flight);
    } else {
      const error = flight.error ?? new IngestError(Code.UNAVAILABLE, "not stored", { retryable: true });
      if (error.reason === Reason.UNKNOWN_TOPIC) this.#topics.forget(forwarder.topic.name);
      forwarder.bounced(error);
      if (forwarder.airborne === 0) this.#budget.setStalled(forwarder, true);
    }
    this.#topics.note(forwarder);
    this.#enqueue(forwarder);
    this.#tellIfIdle();
    this.#attribution.leave(previous);
  }

  #completed(forwarder: LaneForwarder, flight: Flight): void {
    const { index, entry, refusals } = flight;
    if (refusals.length > 0) {
      void this.#bury(forwarder, index, entry, refusals).then(() => flight.done());
      return;
    }
    flight.done();
    this.#spool.forwarded(forwarder.lane, index, entry);
    this.#wakeOthers(forwarder);
  }

  async #bury(forwarder: LaneForwarder, index: number, entry: LaneEntry, refusals: readonly Refusal[]): Promise<void> {
    const batches = new Set(refusals.map(({ batch }) => batch));
    const bytes = [...batches].reduce((sum, batch) => sum + batch.bytes.length, 0);
    this.#budget.hold(bytes);
    if (!(await this.#burials.bury(entry, this.#spool.spoolIdOf(entry), refusals))) return;
    this.#budget.hold(-bytes);
    const events = refusals.reduce((sum, { count }) => sum + count, 0);
    this.#spool.deadLettered(forwarder.lane, index, entry, events);
    this.#wakeOthers(forwarder);
    this.#pump();
    this.#tellIfIdle();
  }

  #tick(): void {
    const nowMs = this.#clock.monotonic();
    for (const forwarder of this.#lanes.values()) this.#budget.stallIfStill(forwarder, nowMs);
    void this.#reader.closeDone();
    this.#pump();
    this.#timer = this.#clock.setTimeout(() => this.#tick(), TICK_MS);
    this.#timer.unref?.();
  }

  #isIdle(): boolean {
    return this.#airborne === 0 && this.#burials.running === 0;
  }

  #tellIfIdle(): void {
    if (this.#idle.any && this.#isIdle()) this.#idle.release();
  }
}
