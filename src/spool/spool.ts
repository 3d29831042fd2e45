// The spool: what was acknowledged as PERSISTED and is not in Kafka yet, on the local disk.
//
// The problem: an acknowledgement that does not need Kafka still has to mean "stored". So a batch is answered after an
// fdatasync covers it, and leaves the spool only when Kafka has it or the dead-letter log does. Rejected: an embedded
// database (see docs/adr/0005-spool.md for the figures).
//
// Invariants:
// - persisted + recovered = forwarded + dead-lettered + spooled, in events, for each topic, in every process, at any moment.
//   `recoveredEvents` are those that an earlier process persisted.
// - A batch counts in `backlog` from the moment it is appended, synced or not: nothing of its partition may overtake it.
// - "Failed at shutdown" is never "done": what is not in Kafka stays on disk.

import type { Clock, Timer } from "../clock.ts";
import { Code, IngestError, Reason } from "../errors.ts";
import { DrainRate } from "../ingest/drain-rate.ts";
import type { BatchSettler, SealedBatch } from "../ingest/producer.ts";
import type { Component } from "../lifecycle.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { Backlog, type DoneListener } from "./backlog.ts";
import { decodeBatch, encodeBatchHead, EntryType, type Stamp } from "./entries.ts";
import { Lane, type LaneEntry } from "./lane.ts";
import { PendingBatch, type PendingBatches } from "./pending-batch.ts";
import { SegmentLog, type SpoolDependencies } from "./segment-log.ts";
import { ENTRY_BYTES_MAX, SegmentKind } from "./segment.ts";

export interface SpoolOptions {
  /** An absolute path; created if need be. */
  readonly dir: string;
  /** Directories of workers that are gone, to be drained beside the own one; see spoolDirectories. */
  readonly adopt?: readonly string[];
  /** No batch is taken that would make the own directory's segments larger than this. */
  readonly bytesMax: number;
  /** A segment is closed, and can be deleted, once it has this many bytes, or a quarter of `bytesMax` if that is less. */
  readonly segmentBytes: number;
}

export interface SpoolHealth {
  /** One sentence each. */
  readonly problems: string[];
}

const TICK_MS = 1000;
/** What another process held, or a fault kept from being deleted, is tried again after so many ticks. */
const RETRY_TICKS = 5;
const SEGMENT_BYTES_MIN = 64 * 1024;

export class Spool implements Component {
  /** The lanes, for the forwarder. */
  readonly backlogs: Backlog;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #dependencies: SpoolDependencies;
  readonly #options: SpoolOptions;
  readonly #own: SegmentLog;
  readonly #segmentBytes: number;
  /** Of what is open in the own directory. */
  readonly #rate: DrainRate;
  /** By directory: the own one, and those that are adopted. */
  readonly #logs = new Map<string, SegmentLog>();
  /** Directories to adopt that another process holds. */
  #held: string[] = [];
  #adopting: Promise<void> = Promise.resolve();
  readonly #recovered = new Map<string, number>();
  readonly #readable: ((lane: Lane) => void)[] = [];
  readonly #pending: PendingBatches;
  #state: "new" | "open" | "draining" | "closed" = "new";
  /** The size of the last batch that there was no room for. */
  #refusedBytes = 0;
  #ticks = 0;
  #timer: Timer | undefined;

  /** @param dependencies `random` gives a number in [0, 1). */
  constructor(dependencies: SpoolDependencies & { readonly random?: () => number }, options: SpoolOptions) {
    this.#log = dependencies.log;
    this.#metrics = dependencies.metrics;
    this.#clock = dependencies.clock;
    this.#dependencies = dependencies;
    this.#options = options;
    this.backlogs = new Backlog(dependencies.metrics);
    // Space comes back by segments, so a small cap needs small ones.
    this.#segmentBytes = Math.min(options.segmentBytes, Math.max(SEGMENT_BYTES_MIN, options.bytesMax / 4));
    this.#rate = new DrainRate(dependencies.clock, dependencies.random ?? Math.random, 1);
    this.#own = this.#newLog(options.dir);
    this.#pending = {
      persisted: (topic, lane, entry) => {
        this.backlogs.push(topic, lane, entry);
        this.#rate.added(entry.bytes);
        for (const listener of this.#readable) listener(lane);
      },
      refused: (topic, lane) => this.backlogs.tellDone(topic, lane),
    };
  }

  /** Events, by topic, that earlier processes persisted and that were not done when this one opened their directories. */
  get recoveredEvents(): ReadonlyMap<string, number> {
    return this.#recovered;
  }

  /**
   * Locks and recovers the directories.
   *
   * @throws IngestError FAILED_PRECONDITION if another process holds the own directory, or it cannot be worked in.
   */
  async start(): Promise<void> {
    if (this.#state !== "new") return;
    await this.#open(this.#own);
    this.#state = "open";
    this.#metrics.spoolBytesLimit.with().set(this.#options.bytesMax);
    this.#held = [...(this.#options.adopt ?? [])];
    await this.#adoptHeld();
    this.#tick();
  }

  /**
   * Takes a batch, to be stored on disk. Never throws; the settler is told in a later turn of the event loop: stored when it
   * is synced; RESOURCE_EXHAUSTED if there is no room, and then it is not stored; UNAVAILABLE if writing failed, and then it
   * may be. The batch's bytes are not copied and must not change until then.
   */
  append(batch: SealedBatch, settler: BatchSettler): void {
    const topic = this.backlogs.topic(batch.topic);
    const lane = topic.lane(batch.partition);
    const nowMs = this.#clock.now();
    const head = encodeBatchHead(nowMs, topic.utf8, batch.partition, batch.count);
    const refusal = this.#refusal(batch, head.length + batch.bytes.length);
    if (refusal !== undefined) {
      this.#clock.setImmediate(() => settler.failed(batch, 0, batch.count, refusal));
      return;
    }
    // From here on it waits for the disk: for the sync that is under way, and for its own.
    batch.sentAtMs ??= this.#clock.monotonic();
    const pending = new PendingBatch(this.#pending, batch, settler, topic, lane, nowMs);
    this.#own.append(EntryType.BATCH, head, batch.bytes, pending);
  }

  /**
   * Why a client's batch of this size finds no room now, if it does not: RESOURCE_EXHAUSTED, with a delay. One that is larger
   * than the cap could wait for ever, and is tried by record batches.
   */
  refusal(bytes: number): IngestError | undefined {
    if (bytes > this.#options.bytesMax) return this.#own.refusal;
    return this.#refusalOfCap(bytes) ?? this.#own.refusal;
  }

  /**
   * How many batches are in the spool, synced or not, that are neither in Kafka nor in the dead-letter log and may end up in
   * the partition: its own, and those of the topic that have no partition yet. O(1).
   */
  backlog(topic: string, partition: number): number {
    return this.backlogs.count(topic, partition);
  }

  /** How many batches have come for the partition so far, synced or not. O(1). */
  arrivals(topic: string, partition: number): number {
    return this.backlogs.arrivals(topic, partition);
  }

  /** Is everything done that was spooled for the partition when so many batches had come? O(1). */
  isDone(topic: string, partition: number, arrivals: number): boolean {
    return this.backlogs.isDone(topic, partition, arrivals);
  }

  /** Calls back whenever a batch has left the backlog; with UNASSIGNED_PARTITION if it had none. */
  onDone(listener: DoneListener): void {
    this.backlogs.onDone(listener);
  }

  /** Calls back for each batch that was synced, and for each lane of a directory that was adopted late. */
  onReadable(listener: (lane: Lane) => void): void {
    this.#readable.push(listener);
  }

  /** The random id of the spool that the batch lies in. */
  spoolIdOf(entry: LaneEntry): Buffer {
    return this.#logs.get(entry.segment.dir)?.spoolId ?? this.#own.spoolId;
  }

  /** How the batch, or its parts for single partitions, were sent before; empty if they never were. */
  stampsOf(entry: LaneEntry): readonly Stamp[] {
    return this.#logs.get(entry.segment.dir)?.stamps.get(entry.sequence) ?? [];
  }

  /**
   * Remembers how the batch, or its part for a partition, is going to be sent. Calls back in a later turn, when that is on
   * disk together with everything that was said before to be in Kafka; or cannot be, which costs duplicates after a crash.
   */
  keepStamp(entry: LaneEntry, stamp: Omit<Stamp, "batch">, kept: () => void): void {
    const own = this.#logs.get(entry.segment.dir);
    if (own === undefined) {
      this.#clock.setImmediate(kept);
      return;
    }
    // What is in Kafka and not marked yet may lie in the directories of other workers too.
    const others = [...this.#logs.values()].filter((log) => log !== own && log.hasMarkers);
    if (others.length === 0) own.appendStamp({ batch: entry.sequence, ...stamp }, kept);
    else void Promise.all(others.map((log) => log.flush())).then(() => this.keepStamp(entry, stamp, kept));
  }

  /** Kafka has the batch, all of it. */
  forwarded(lane: Lane, index: number, entry: LaneEntry): void {
    this.#logs.get(entry.segment.dir)?.markForwarded(entry.segment, entry.sequence);
    this.#done(lane, index, entry, 0);
  }

  /** `events` of the batch lie synced in the dead-letter log, and Kafka has the others. */
  deadLettered(lane: Lane, index: number, entry: LaneEntry, events: number): void {
    this.#logs.get(entry.segment.dir)?.markDeadLettered(entry.segment, entry.sequence, events);
    this.#done(lane, index, entry, events);
  }

  health(): SpoolHealth {
    const problems = [...this.#logs.values()].flatMap((log) => log.problem ?? []);
    if (this.#isFull(this.#refusedBytes)) {
      const { dir, bytesMax } = this.#options;
      problems.push(`the spool in ${dir} is full (SPOOL_BYTES_MAX: ${bytesMax} bytes for this worker)`);
    }
    for (const dir of this.#held)
      problems.push(`the spool in ${dir}, of a worker that is gone, is in use by another process`);
    return { problems };
  }

  /** Takes nothing more, and resolves when what was taken, and what became of it, is on disk. */
  async drain(deadlineMs: number): Promise<void> {
    if (this.#state === "new" || this.#state === "closed") return;
    this.#state = "draining";
    const flushed = Promise.all([...this.#logs.values()].map((log) => log.flush()));
    let timer: Timer | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = this.#clock.setTimeout(resolve, Math.max(0, deadlineMs - this.#clock.now()));
    });
    await Promise.race([flushed, deadline]);
    if (timer !== undefined) this.#clock.clearTimeout(timer);
  }

  /** Ends the write that is under way, closes the files and gives the locks back. */
  async dispose(): Promise<void> {
    if (this.#state === "closed") return;
    this.#state = "closed";
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    await this.#adopting;
    for (const log of this.#logs.values()) await log.close();
  }

  #newLog(dir: string): SegmentLog {
    const bytesGauge = this.#metrics.spoolBytes.with();
    const segmentBytes = this.#segmentBytes;
    return new SegmentLog(this.#dependencies, { dir, kind: SegmentKind.SPOOL, segmentBytes, bytesGauge });
  }

  #refusal(batch: SealedBatch, headAndBytes: number): IngestError | undefined {
    if (this.#state !== "open") {
      const message = "the spool takes no batches: the service is starting or shutting down";
      return new IngestError(Code.UNAVAILABLE, message, { retryable: true });
    }
    if (headAndBytes > ENTRY_BYTES_MAX) {
      const message = `a record batch of ${batch.bytes.length} bytes is too large to be persisted: send fewer events at once`;
      return new IngestError(Code.INVALID_ARGUMENT, message, { reason: Reason.TOO_LARGE });
    }
    return this.#refusalOfCap(headAndBytes);
  }

  /** The delay is what it takes until as many segments are done as are in the way. */
  #refusalOfCap(bytes: number): IngestError | undefined {
    if (!this.#isFull(bytes)) return undefined;
    const { bytesMax } = this.#options;
    this.#refusedBytes = bytes;
    this.#own.releaseSpace();
    const segments = Math.ceil((this.#own.bytes + bytes - bytesMax) / this.#segmentBytes);
    const message = `the spool is full (SPOOL_BYTES_MAX: ${bytesMax} bytes for this worker): send later, when Kafka has taken some of it, or raise SPOOL_BYTES_MAX; nothing of the batch is stored`;
    const retryDelayMs = this.#rate.retryDelayMs(segments * this.#segmentBytes);
    return new IngestError(Code.RESOURCE_EXHAUSTED, message, { retryable: true, retryDelayMs });
  }

  /** Would a batch of this size be too much? */
  #isFull(bytes: number): boolean {
    return this.#own.bytes + bytes > this.#options.bytesMax;
  }

  /** Opens a directory and takes its batches into the backlog. */
  async #open(log: SegmentLog): Promise<void> {
    const lanes = new Map<string, Map<number, Lane>>();
    await log.open((entry, segment) => {
      const { persistedAtMs, topic, partition, count } = decodeBatch(entry.payload);
      let partitions = lanes.get(topic);
      if (partitions === undefined) lanes.set(topic, (partitions = new Map<number, Lane>()));
      let lane = partitions.get(partition);
      if (lane === undefined) partitions.set(partition, (lane = new Lane(topic, partition)));
      const { sequence, position, bytes } = entry;
      lane.push({ order: sequence, sequence, persistedAtMs, segment, position, bytes, count });
    });
    this.#logs.set(log.dir, log);
    const { events, bytes } = this.backlogs.adopt(
      [...lanes.values()].flatMap((partitions) => [...partitions.values()]),
    );
    if (log === this.#own) this.#rate.added(bytes);
    for (const [topic, count] of events) {
      this.#recovered.set(topic, (this.#recovered.get(topic) ?? 0) + count);
      this.#metrics.eventsRecovered.with(topic).inc(count);
    }
    const total = [...events.values()].reduce((sum, count) => sum + count, 0);
    if (total > 0) this.#log.info({ dir: log.dir, events: total, bytes: log.bytes }, "spooled events are taken over");
  }

  async #adoptHeld(): Promise<void> {
    for (const dir of this.#held) {
      if (this.#state !== "open") return;
      try {
        await this.#open(this.#newLog(dir));
      } catch (error) {
        this.#log.warn({ dir, err: error }, "the spool of a worker that is gone cannot be adopted yet");
        continue;
      }
      this.#held = this.#held.filter((other) => other !== dir);
      for (const topic of this.backlogs.topics()) {
        for (const lane of [topic.unassigned, ...topic.lanes.values()]) {
          if (lane.waiting > 0) for (const listener of this.#readable) listener(lane);
        }
      }
    }
  }

  #done(lane: Lane, index: number, entry: LaneEntry, deadLettered: number): void {
    const topic = this.backlogs.topic(lane.topic);
    lane.setDone(index);
    topic.spooled.dec(entry.count);
    topic.forwarded.inc(entry.count - deadLettered);
    topic.deadLettered.inc(deadLettered);
    if (entry.segment.dir === this.#own.dir) this.#rate.drained(entry.bytes);
    if (this.#isFull(this.#refusedBytes)) this.#own.releaseSpace();
    this.backlogs.tellDone(topic, lane);
  }

  /** Once a second: what changes by time alone. */
  #tick(): void {
    if (this.#state === "closed") return;
    const oldest = this.backlogs.oldestPersistedAtMs();
    const ageMs = oldest === Infinity ? 0 : Math.max(0, this.#clock.now() - oldest);
    this.#metrics.spoolOldest.with().set(ageMs / 1000);
    for (const log of this.#logs.values()) void log.verify();
    this.#ticks++;
    if (this.#ticks % RETRY_TICKS === 0) {
      for (const log of this.#logs.values()) log.tidy();
      if (this.#held.length > 0) this.#adopting = this.#adopting.then(() => this.#adoptHeld());
    }
    this.#timer = this.#clock.setTimeout(() => this.#tick(), TICK_MS);
    this.#timer.unref?.();
  }
}
