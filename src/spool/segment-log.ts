// One directory of segments, open and locked: entries go in, are told when they are on disk, and go when they are done.
//
//   append ── CommitQueue ── SegmentWriter ── disk
//   markForwarded, markDeadLettered ── Markers (go with the next group) and Segments (delete what is done)
//   drop ── a marker of its own, synced before anything counts as done
//
// The spool of a worker is one, those it adopts are others, and so is its dead-letter log.

import type { Clock, Timer } from "../clock.ts";
import { Code, IngestError } from "../errors.ts";
import type { Gauge } from "../telemetry/instruments.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { CommitQueue, unavailable } from "./commit-queue.ts";
import { encodeDropped, encodeStamped, EntryType, type Stamp } from "./entries.ts";
import { FaultKind, Faults } from "./faults.ts";
import { type FileLock, type FileSystem, makeDurableDirectory } from "./file-system.ts";
import type { AppendListener } from "./group.ts";
import { Markers } from "./markers.ts";
import { type Attribution, noAttribution } from "../telemetry/attribution.ts";
import type { RecoveryVisitor } from "./recovered-entries.ts";
import { recover } from "./recovery.ts";
import type { SegmentKind } from "./segment.ts";
import type { SegmentState } from "./segment-state.ts";
import { SegmentWriter } from "./segment-writer.ts";
import { Segments } from "./segments.ts";

export interface SpoolDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly fs: FileSystem;
  readonly attribution?: Attribution;
}

export interface SegmentLogOptions {
  /** An absolute path. */
  readonly dir: string;
  readonly kind: SegmentKind;
  /** A segment is closed once it has this many bytes; it may be larger by one group. */
  readonly segmentBytes: number;
  /** Adds up the bytes of segments, and of entries on their way into one. */
  readonly bytesGauge?: Gauge;
  /** How long to wait for the lock, in milliseconds; default 0. */
  readonly lockWaitMs?: number;
}

/** Markers wait this long for a group of batches to go with. */
const MARKERS_DELAY_MS = 500;

const LOCK_RETRY_MS = 50;

/** What is there while the directory is open. */
interface Opened {
  readonly lock: FileLock;
  readonly spoolId: Buffer;
  readonly writer: SegmentWriter;
  readonly segments: Segments;
  readonly queue: CommitQueue;
}

export class SegmentLog {
  readonly dir: string;
  readonly faults: Faults;
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #fs: FileSystem;
  readonly #attribution: Attribution;
  readonly #options: SegmentLogOptions;
  readonly #markers = new Markers();
  #opened: Opened | undefined;
  #closing = false;
  /** Set once the directory was removed under the service. */
  #removed: string | undefined;
  #bytes = 0;
  #markersDue = false;
  #markersTimer: Timer | undefined;
  #spaceWanted = false;

  constructor(dependencies: SpoolDependencies, options: SegmentLogOptions) {
    this.dir = options.dir;
    this.faults = new Faults(dependencies);
    this.#metrics = dependencies.metrics;
    this.#clock = dependencies.clock;
    this.#fs = dependencies.fs;
    this.#attribution = dependencies.attribution ?? noAttribution;
    this.#options = options;
  }

  /** 16 random bytes; empty unless it is open. */
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
    return this.#removed ?? this.#opened?.queue.problem;
  }

  /** Why nothing would even be tried now: the disk was full a moment ago. */
  get refusal(): IngestError | undefined {
    return this.#opened?.queue.refusal;
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
      this.#opened = await this.#recover(lock, visit);
    } catch (thrown) {
      await lock.release();
      throw thrown instanceof IngestError ? thrown : notUsable(this.dir, thrown);
    }
    await this.#opened.segments.trim();
  }

  /**
   * Appends one entry. Its bytes are not copied: they must not change until the listener is told.
   *
   * @param head ENTRY_HEADER_BYTES of room, then the payload or its beginning.
   * @param body the rest of the payload.
   */
  append(type: EntryType, head: Buffer, body: Buffer | undefined, listener: AppendListener): void {
    if (this.#opened === undefined) {
      this.#clock.setImmediate(() => listener.failed(unavailable(`${this.dir} is not open`)));
    } else {
      this.#opened.queue.append(type, head, body, listener);
    }
  }

  /** Is anything said to be in Kafka that is not on its way to the disk? */
  get hasMarkers(): boolean {
    return this.#markers.waiting;
  }

  /**
   * Remembers, on disk and over restarts, how a batch is going to be sent. What was marked before is on disk by then, so that
   * never more batches are stamped and not marked than are in flight. A stamp that cannot be written is counted.
   *
   * @param kept called when the batch may be sent, in a later turn.
   */
  appendStamp(stamp: Stamp, kept: () => void): void {
    if (this.#opened !== undefined && this.#markers.waiting) this.#appendMarkers(this.#opened);
    this.append(EntryType.STAMPED, encodeStamped(stamp), undefined, {
      synced: () => {
        this.#opened?.segments.addStamp(stamp);
        kept();
      },
      failed: () => {
        this.faults.count(FaultKind.STAMP);
        kept();
      },
    });
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

  /**
   * Marks entries as done, at most FORWARDED_PER_ENTRY_MAX. They count as done, and their segments may go, only when what says
   * so is synced: then it resolves. Rejects with a retryable IngestError if that failed.
   *
   * @param entries none of them done.
   */
  drop(entries: readonly { readonly segment: SegmentState; readonly sequence: number }[]): Promise<void> {
    const head = encodeDropped(entries.map(({ sequence }) => sequence));
    return new Promise<void>((resolve, reject: (error: IngestError) => void) => {
      this.append(EntryType.DROPPED, head, undefined, {
        synced: () => {
          for (const { segment, sequence } of entries) this.#opened?.segments.setDone(segment, sequence);
          this.releaseSpace();
          resolve();
        },
        failed: reject,
      });
    });
  }

  /** Gives the active segment's space back if nothing in it is open. */
  releaseSpace(): void {
    if (this.#opened?.writer.active?.live !== 0) return;
    this.#spaceWanted = true;
    this.#opened.queue.schedule();
  }

  /** Tries again what a fault kept from being deleted. */
  tidy(): void {
    this.#opened?.segments.tidy();
  }

  /** Notices a directory that was removed under the service: what would be written there could never be read again. */
  async verify(): Promise<void> {
    const opened = this.#opened;
    if (opened === undefined || this.#closing || this.#removed !== undefined) return;
    if (await opened.lock.linked().catch(() => true)) return;
    this.#removed = `the directory ${this.dir} was removed while the service ran: restart the service to begin a new one`;
    opened.queue.refuse(this.#removed);
    this.faults.tell(FaultKind.DIRECTORY, this.#removed, {});
  }

  /** Resolves when everything appended, and every marker, is on disk or failed. */
  async flush(): Promise<void> {
    this.#markersDue = true;
    if (this.#markers.waiting) this.#opened?.queue.schedule();
    await this.#opened?.queue.idle();
  }

  /** Ends the group that is under way, fails those that wait, and gives everything back. Never rejects. */
  async close(): Promise<void> {
    const opened = this.#opened;
    if (opened === undefined || this.#closing) return;
    this.#closing = true;
    opened.queue.refuse("the spool is shutting down");
    if (this.#markersTimer !== undefined) this.#clock.clearTimeout(this.#markersTimer);
    await opened.queue.idle();
    this.#opened = undefined;
    await opened.writer.retire();
    if (this.#removed === undefined) await opened.segments.settle();
    this.#account(-this.#bytes);
    await opened.lock.release();
  }

  async #takeLock(): Promise<FileLock> {
    let lock: FileLock | undefined;
    try {
      await makeDurableDirectory(this.#fs, this.dir);
      const untilMs = this.#clock.monotonic() + (this.#options.lockWaitMs ?? 0);
      for (;;) {
        lock = await this.#fs.lock(`${this.dir}/lock`);
        if (lock !== undefined || this.#clock.monotonic() >= untilMs) break;
        await new Promise<void>((resolve) => void this.#clock.setTimeout(resolve, LOCK_RETRY_MS));
      }
    } catch (cause) {
      throw notUsable(this.dir, cause);
    }
    if (lock !== undefined) return lock;
    const message = `the directory ${this.dir} is in use by another process: stop the other sluice that runs with this DATA_DIR, or set another DATA_DIR`;
    throw new IngestError(Code.FAILED_PRECONDITION, message);
  }

  async #recover(lock: FileLock, visit: RecoveryVisitor): Promise<Opened> {
    const { dir } = this;
    const { kind } = this.#options;
    const recovered = await recover(this.#fs, dir, kind, this.faults, visit);
    const { spoolId, nextSequence, nextSegmentId } = recovered;
    const common = { fs: this.#fs, clock: this.#clock, faults: this.faults };
    const writer = new SegmentWriter(
      { ...common, syncTime: this.#metrics.spoolSyncTime.with(), attribution: this.#attribution },
      { dir, kind, spoolId, nextSegmentId },
    );
    const segments = new Segments(
      common,
      { dir, segments: recovered.segments, stamps: recovered.stamps },
      () => ({
        spoolId,
        syncedThrough: queue.syncedThrough,
        nextSegmentId: writer.nextSegmentId,
        active: writer.active,
      }),
      (bytes) => this.#account(-bytes),
    );
    const queue = new CommitQueue(
      { clock: this.#clock, writer },
      { dir, spoolId, nextSequence },
      {
        preparing: (waiting) => this.#prepare(waiting),
        written: (group, segment, created) => segments.extend(segment, group.count, group.live, created),
        abandoned: (segment) => void (segment.live === 0 && segments.trim()),
        account: (bytes) => this.#account(bytes),
      },
    );
    for (const segment of recovered.segments) this.#account(segment.bytes);
    return { lock, spoolId, writer, segments, queue };
  }

  #account(bytes: number): void {
    this.#bytes += bytes;
    this.#options.bytesGauge?.inc(bytes);
  }

  /** Before each group: markers go with it, and a segment that is long enough ends. */
  async #prepare(waiting: boolean): Promise<void> {
    const opened = this.#opened;
    if (opened === undefined) return;
    if (this.#markers.waiting && (waiting || this.#markersDue)) this.#appendMarkers(opened);
    const { active } = opened.writer;
    const spaceWanted = this.#spaceWanted && active?.live === 0;
    this.#spaceWanted = false;
    if (active === undefined || (!spaceWanted && active.bytes < this.#options.segmentBytes)) return;
    await opened.writer.retire();
    if (active.live === 0) void opened.segments.trim();
  }

  #markDone(segment: SegmentState, sequence: number): void {
    this.#opened?.segments.setDone(segment, sequence);
    this.#startMarkersTimer();
  }

  #startMarkersTimer(): void {
    if (this.#markersTimer !== undefined || this.#closing || this.#opened === undefined) return;
    this.#markersTimer = this.#clock.setTimeout(() => {
      this.#markersTimer = undefined;
      this.#markersDue = true;
      this.#opened?.queue.schedule();
    }, MARKERS_DELAY_MS);
    this.#markersTimer.unref?.();
  }

  #appendMarkers({ segments, queue }: Opened): void {
    this.#markersDue = false;
    this.#markers.appendAll(
      (batch) => segments.has(batch),
      (type, head, failed) => {
        const again = () => {
          failed();
          this.#startMarkersTimer();
        };
        queue.append(type, head, undefined, { synced: () => {}, failed: again });
      },
    );
  }
}

function notUsable(dir: string, cause: unknown): IngestError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `cannot work in ${dir}: ${why}. Mend that, or set DATA_DIR to a directory that this user may write`;
  return new IngestError(Code.FAILED_PRECONDITION, message, { cause });
}
