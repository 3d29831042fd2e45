// One locked directory of segments: appends entries in groups, says when they are on disk, and deletes what is done.
//
// The problem: a disk does a few hundred to a few thousand syncs a second, whatever their size. So entries gather while a
// write and its fdatasync are under way and go out together as the next group: one gathering write of the buffers as they
// lie, one fdatasync. Rejected: a fixed commit interval (it delays a lone batch, and limits nothing under load).
//
// Invariants:
// - One group is under way at a time, and an entry is told to be on disk only after the sync that covers it.
// - A group whose write or sync failed is written once more, to a new segment. If that fails too, either it is sure that
//   nothing of it is stored (RESOURCE_EXHAUSTED: the disk is full, and both leftovers are known to be gone), or nobody knows
//   (UNAVAILABLE).
// - Sequence numbers of a group that failed are never used again, and recovery drops leftovers that a later segment does
//   not count as synced. So nothing is stored that was answered as not stored, and no two batches share a number.

import type { Clock, Timer } from "../clock.ts";
import { Code, IngestError } from "../errors.ts";
import type { Gauge } from "../telemetry/instruments.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { type EntryType, holdsEvents, type Stamp } from "./entries.ts";
import { FaultKind, Faults } from "./faults.ts";
import { errorCode, type FileLock, type FileSystem, isFull, makeDurableDirectory } from "./file-system.ts";
import { Markers } from "./markers.ts";
import { recover, type RecoveryVisitor } from "./recovery.ts";
import { markOf, SEGMENT_HEADER_BYTES, type SegmentKind, sealEntry } from "./segment.ts";
import type { SegmentState } from "./segment-state.ts";
import { SegmentWriter, type WriteOutcome } from "./segment-writer.ts";
import { Segments } from "./segments.ts";

export interface SpoolDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly fs: FileSystem;
}

export interface SegmentLogOptions {
  /** An absolute path. */
  readonly dir: string;
  readonly kind: SegmentKind;
  /** A segment is closed once it has this many bytes; it may be larger by one group. */
  readonly segmentBytes: number;
  /** Adds up the bytes of segments, and of entries on their way into one. */
  readonly bytesGauge?: Gauge;
}

/** Told the outcome of one entry, exactly once, in a later turn of the event loop. */
export interface AppendListener {
  synced(sequence: number, segment: SegmentState, position: number, bytes: number): void;
  failed(error: IngestError): void;
}

/** A group is written once it has so many bytes, even if more is waiting: a bound on the time of one sync. */
const GROUP_BYTES_MAX = 16 * 1024 * 1024;
/** Markers wait this long for a group of batches to go with. */
const MARKERS_DELAY_MS = 500;
/** After the disk was full, batches are refused without a try for this long. */
const FULL_BACKOFF_MS = 1000;
/** A failure is a problem for so long, unless a write succeeds before. */
const PROBLEM_MS = 30_000;
const ATTEMPTS = 2;

class Group {
  readonly firstSequence: number;
  readonly buffers: Buffer[] = [];
  readonly listeners: AppendListener[] = [];
  /** The size of each entry. */
  readonly sizes: number[] = [];
  /** How many entries hold events. */
  live = 0;
  bytes = 0;

  constructor(firstSequence: number) {
    this.firstSequence = firstSequence;
  }
}

/** What is there once the directory is open. */
interface Opened {
  readonly lock: FileLock;
  readonly spoolId: Buffer;
  readonly mark: number;
  readonly segments: Segments;
  readonly writer: SegmentWriter;
}

export class SegmentLog {
  readonly dir: string;
  readonly faults: Faults;
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #fs: FileSystem;
  readonly #options: SegmentLogOptions;
  readonly #markers = new Markers();
  #opened: Opened | undefined;
  /** Why nothing more is taken; undefined while something is. */
  #refusal: string | undefined = "the spool is not open";
  #nextSequence = 1;
  #syncedThrough = 0;
  #bytes = 0;
  readonly #queue: Group[] = [];
  #running = false;
  #idle: (() => void)[] = [];
  #markersDue = false;
  #markersTimer: Timer | undefined;
  #spaceWanted = false;
  #fullUntilMs = -Infinity;
  #problem: { readonly message: string; readonly untilMs: number } | undefined;

  constructor(dependencies: SpoolDependencies, options: SegmentLogOptions) {
    this.dir = options.dir;
    this.faults = new Faults(dependencies.log, dependencies.metrics);
    this.#metrics = dependencies.metrics;
    this.#clock = dependencies.clock;
    this.#fs = dependencies.fs;
    this.#options = options;
  }

  /** 16 random bytes; empty until it is open. */
  get spoolId(): Buffer {
    return this.#opened?.spoolId ?? Buffer.alloc(0);
  }

  /** Bytes of the segments on disk and of the entries that wait to be written. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Under which producer id and sequences open batches were sent, by the batch's sequence number. */
  get stamps(): ReadonlyMap<number, readonly Stamp[]> {
    return this.#opened?.segments.stamps ?? new Map();
  }

  /** What is wrong now, if anything; a sentence. */
  get problem(): string | undefined {
    return this.#problem !== undefined && this.#clock.monotonic() < this.#problem.untilMs
      ? this.#problem.message
      : undefined;
  }

  /**
   * Locks and recovers the directory, which is created if need be.
   *
   * @param visit sees every entry that holds events and may be open; `SegmentState.isDone` has the last word afterwards.
   * @throws IngestError FAILED_PRECONDITION if the directory is locked or cannot be worked in. Nothing stays open then.
   */
  async open(visit: RecoveryVisitor): Promise<void> {
    const lock = await this.#takeLock();
    try {
      const { dir, kind } = this.#options;
      const { spoolId, nextSequence, nextSegmentId, segments, stamps } = await recover(
        this.#fs,
        dir,
        kind,
        this.faults,
        visit,
      );
      this.#nextSequence = nextSequence;
      this.#syncedThrough = nextSequence - 1;
      const syncTime = this.#metrics.spoolSyncTime.with();
      const writer = new SegmentWriter(
        { fs: this.#fs, clock: this.#clock, faults: this.faults, syncTime },
        { dir, kind, spoolId, nextSegmentId },
      );
      const list = new Segments(
        { fs: this.#fs, faults: this.faults },
        { dir, segments, stamps },
        () => ({
          spoolId,
          syncedThrough: this.#syncedThrough,
          nextSegmentId: writer.nextSegmentId,
          active: writer.active,
        }),
        (bytes) => this.#account(-bytes),
      );
      for (const segment of segments) this.#account(segment.bytes);
      this.#opened = { lock, spoolId, mark: markOf(spoolId), segments: list, writer };
      this.#refusal = undefined;
      await list.trim();
    } catch (thrown) {
      await lock.release();
      throw thrown;
    }
  }

  /**
   * Appends one entry. Its bytes are not copied: they must not change until the listener is told.
   *
   * @param head ENTRY_HEADER_BYTES of room, then the payload or its beginning.
   * @param body the rest of the payload.
   */
  append(type: EntryType, head: Buffer, body: Buffer | undefined, listener: AppendListener): void {
    const bytes = head.length + (body?.length ?? 0);
    const last = this.#queue.at(-1);
    const open = last !== undefined && last.bytes < GROUP_BYTES_MAX ? last : undefined;
    const group = open ?? new Group(this.#nextSequence);
    if (open === undefined) this.#queue.push(group);
    sealEntry(head, body, this.#nextSequence++, type, open === undefined, this.#opened?.mark ?? 0);
    group.buffers.push(head);
    if (body !== undefined) group.buffers.push(body);
    group.listeners.push(listener);
    group.sizes.push(bytes);
    group.bytes += bytes;
    if (holdsEvents(type)) group.live++;
    this.#account(bytes);
    this.#schedule();
  }

  /** The batch is in Kafka. What says so on disk follows within a moment; a crash before that sends the batch again. */
  markForwarded(segment: SegmentState, sequence: number): void {
    this.#markers.forwarded(sequence);
    this.#markDone(segment, sequence);
  }

  /** The batch is in Kafka, but for `events` that lie, synced, in the dead-letter log. */
  markDeadLettered(segment: SegmentState, sequence: number, events: number): void {
    this.#markers.deadLettered(sequence, events);
    this.#markDone(segment, sequence);
  }

  /** Gives the active segment's space back if nothing in it is open. */
  releaseSpace(): void {
    if (this.#opened?.writer.active?.live !== 0) return;
    this.#spaceWanted = true;
    this.#schedule();
  }

  /** Notices a directory that was removed under the service: what would be written there could never be read again. */
  async verify(): Promise<void> {
    if (this.#opened === undefined || this.#refusal !== undefined) return;
    if (await this.#opened.lock.linked().catch(() => true)) return;
    this.#refusal = `the directory ${this.dir} was removed while the service ran: restart the service to begin a new one`;
    this.#problem = { message: this.#refusal, untilMs: Infinity };
    this.faults.tell(FaultKind.DIRECTORY, this.#refusal, {});
  }

  /** Resolves when everything appended, and every marker, is on disk or failed. */
  async flush(): Promise<void> {
    this.#markersDue = true;
    if (this.#markers.waiting) this.#schedule();
    if (this.#running) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Ends the group that is under way, fails those that wait, and gives everything back. Never rejects. */
  async close(): Promise<void> {
    const opened = this.#opened;
    if (opened === undefined) return;
    const intact = this.#refusal === undefined;
    this.#refusal ??= "the spool is shutting down";
    if (this.#markersTimer !== undefined) this.#clock.clearTimeout(this.#markersTimer);
    if (this.#running) await new Promise<void>((resolve) => this.#idle.push(resolve));
    if (this.#opened === undefined) return;
    this.#opened = undefined;
    await opened.writer.retire();
    if (intact) await opened.segments.settle();
    this.#account(-this.#bytes);
    await opened.lock.release();
  }

  async #takeLock(): Promise<FileLock> {
    let lock: FileLock | undefined;
    try {
      await makeDurableDirectory(this.#fs, this.dir);
      lock = await this.#fs.lock(`${this.dir}/lock`);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const message = `cannot work in ${this.dir}: ${why}. Set DATA_DIR to a directory that this user may write`;
      throw new IngestError(Code.FAILED_PRECONDITION, message, { cause });
    }
    if (lock !== undefined) return lock;
    const message = `the directory ${this.dir} is in use by another process: stop the other sluice that runs with this DATA_DIR, or set another DATA_DIR`;
    throw new IngestError(Code.FAILED_PRECONDITION, message);
  }

  #account(bytes: number): void {
    this.#bytes += bytes;
    this.#options.bytesGauge?.inc(bytes);
  }

  // --- Markers ----------------------------------------------------------------------------------------------------------

  #markDone(segment: SegmentState, sequence: number): void {
    this.#opened?.segments.setDone(segment, sequence);
    this.#startMarkersTimer();
  }

  #startMarkersTimer(): void {
    if (this.#markersTimer !== undefined || this.#refusal !== undefined) return;
    this.#markersTimer = this.#clock.setTimeout(() => {
      this.#markersTimer = undefined;
      this.#markersDue = true;
      this.#schedule();
    }, MARKERS_DELAY_MS);
    this.#markersTimer.unref?.();
  }

  #appendMarkers(segments: Segments): void {
    this.#markersDue = false;
    this.#markers.appendAll(
      (batch) => segments.has(batch),
      (type, head, failed) => {
        this.append(type, head, undefined, {
          synced: () => {},
          failed: () => {
            failed();
            this.#startMarkersTimer();
          },
        });
      },
    );
  }

  // --- Group commit -----------------------------------------------------------------------------------------------------

  #schedule(): void {
    if (this.#running) return;
    this.#running = true;
    this.#clock.setImmediate(() => void this.#run());
  }

  async #run(): Promise<void> {
    for (;;) {
      const segments = this.#opened?.segments;
      if (segments !== undefined && this.#markers.waiting && (this.#markersDue || this.#queue.length > 0)) {
        this.#appendMarkers(segments);
      }
      await this.#rollIfDue();
      const group = this.#queue.shift();
      if (group === undefined) break;
      await this.#commit(group);
    }
    this.#running = false;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  async #rollIfDue(): Promise<void> {
    const active = this.#opened?.writer.active;
    const wanted = this.#spaceWanted && active?.live === 0;
    this.#spaceWanted = false;
    if (active === undefined || (!wanted && active.bytes < this.#options.segmentBytes)) return;
    await this.#opened?.writer.retire();
    if (active.live === 0) void this.#opened?.segments.trim();
  }

  async #commit(group: Group): Promise<void> {
    const opened = this.#opened;
    if (opened === undefined || this.#refusal !== undefined) {
      return this.#fail(group, unavailable(this.#refusal ?? "the spool is closed"));
    }
    if (this.#clock.monotonic() < this.#fullUntilMs) return this.#fail(group, this.#full());
    const failures: (WriteOutcome & { readonly failed: true })[] = [];
    while (failures.length < ATTEMPTS) {
      const before = opened.writer.active;
      const outcome = await opened.writer.write(group, this.#syncedThrough);
      if (!outcome.failed) return this.#settle(group, opened.segments, outcome);
      failures.push(outcome);
      if (before?.live === 0) void opened.segments.trim();
    }
    if (failures.every(({ error, removed }) => removed && isFull(error))) {
      this.#fullUntilMs = this.#clock.monotonic() + FULL_BACKOFF_MS;
      this.#setProblem(`the disk that holds ${this.dir} is full: free space on it; until then nothing can be persisted`);
      return this.#fail(group, this.#full());
    }
    const { error } = failures.at(-1)!;
    const why = errorCode(error) ?? String(error);
    this.#setProblem(`writing to ${this.dir} fails (${why}): check the disk`);
    this.#fail(group, unavailable(`the spool could not write (${why}): the events may be stored or not`, error));
  }

  #settle(group: Group, segments: Segments, written: WriteOutcome & { readonly failed: false }): void {
    const { segment, created } = written;
    const count = group.sizes.length;
    this.#syncedThrough = group.firstSequence + count - 1;
    this.#problem = undefined;
    if (created) this.#account(SEGMENT_HEADER_BYTES);
    segments.extend(segment, count, group.live, created);
    let position = written.position;
    for (let i = 0; i < count; i++) {
      group.listeners[i]!.synced(group.firstSequence + i, segment, position, group.sizes[i]!);
      position += group.sizes[i]!;
    }
  }

  #fail(group: Group, error: IngestError): void {
    this.#account(-group.bytes);
    for (const listener of group.listeners) listener.failed(error);
  }

  #setProblem(message: string): void {
    this.#problem = { message, untilMs: this.#clock.monotonic() + PROBLEM_MS };
  }

  #full(): IngestError {
    const message = `the disk that holds the spool (${this.dir}) is full: free space on it, or send later; nothing of the batch is stored`;
    return new IngestError(Code.RESOURCE_EXHAUSTED, message, { retryable: true, retryDelayMs: FULL_BACKOFF_MS });
  }
}

function unavailable(message: string, cause?: unknown): IngestError {
  return new IngestError(Code.UNAVAILABLE, message, { retryable: true, cause });
}
