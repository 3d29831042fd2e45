// Group commit: what waits for the disk, and what the disk makes of it.
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

import type { Clock } from "../clock.ts";
import { Code, IngestError } from "../errors.ts";
import { type EntryType, holdsEvents } from "./entries.ts";
import { errorCode, isFull } from "./file-system.ts";
import { type AppendListener, Group } from "./group.ts";
import { markOf, sealEntry, SEGMENT_HEADER_BYTES } from "./segment.ts";
import type { SegmentState } from "./segment-state.ts";
import type { SegmentWriter, WriteOutcome } from "./segment-writer.ts";

/** A group is written once it has so many bytes, even if more is waiting: a bound on the time of one sync. */
const GROUP_BYTES_MAX = 16 * 1024 * 1024;
/** After the disk was full, groups are refused without a try for this long. */
const FULL_BACKOFF_MS = 1000;
/** A failure is a problem for so long, unless a write succeeds before. */
const PROBLEM_MS = 30_000;
const ATTEMPTS = 2;

export interface CommitQueueOptions {
  readonly dir: string;
  readonly spoolId: Buffer;
  readonly nextSequence: number;
}

export interface CommitEvents {
  /** The queue is about to take its next group; what is appended now still goes with it. `waiting`: there is one. */
  preparing(waiting: boolean): Promise<void>;
  /** The group is on disk; its listeners are told next. */
  written(group: Group, segment: SegmentState, created: boolean): void;
  /** A write failed, and the segment that it went to has been closed. */
  abandoned(segment: SegmentState): void;
  /** Bytes came to be on their way to the disk, or, negative, did not get there. */
  account(bytes: number): void;
}

export class CommitQueue {
  readonly #clock: Clock;
  readonly #writer: SegmentWriter;
  readonly #events: CommitEvents;
  readonly #dir: string;
  readonly #mark: number;
  #nextSequence: number;
  #syncedThrough: number;
  readonly #groups: Group[] = [];
  #running = false;
  /** Was it scheduled since the last time that it prepared? */
  #scheduled = false;
  #idle: (() => void)[] = [];
  #refusal: string | undefined;
  #fullUntilMs = -Infinity;
  #problem: { readonly message: string; readonly untilMs: number } | undefined;

  constructor(
    dependencies: { readonly clock: Clock; readonly writer: SegmentWriter },
    options: CommitQueueOptions,
    events: CommitEvents,
  ) {
    this.#clock = dependencies.clock;
    this.#writer = dependencies.writer;
    this.#events = events;
    this.#dir = options.dir;
    this.#mark = markOf(options.spoolId);
    this.#nextSequence = options.nextSequence;
    this.#syncedThrough = options.nextSequence - 1;
  }

  /** Every entry up to this number that did not fail is on disk. */
  get syncedThrough(): number {
    return this.#syncedThrough;
  }

  /** What is wrong now, if anything; a sentence. */
  get problem(): string | undefined {
    const problem = this.#problem;
    return problem !== undefined && this.#clock.monotonic() < problem.untilMs ? problem.message : undefined;
  }

  /** Why nothing would even be tried now: the disk was full a moment ago. */
  get refusal(): IngestError | undefined {
    return this.#clock.monotonic() < this.#fullUntilMs ? this.#full() : undefined;
  }

  append(type: EntryType, head: Buffer, body: Buffer | undefined, listener: AppendListener): void {
    const last = this.#groups.at(-1);
    const open = last !== undefined && last.bytes < GROUP_BYTES_MAX ? last : undefined;
    const group = open ?? new Group(this.#nextSequence);
    if (open === undefined) this.#groups.push(group);
    sealEntry(head, body, this.#nextSequence++, type, open === undefined, this.#mark);
    group.add(head, body, holdsEvents(type), listener);
    this.#events.account(head.length + (body?.length ?? 0));
    this.schedule();
  }

  /** From now on everything fails that is not under way. */
  refuse(message: string): void {
    this.#refusal ??= message;
  }

  /** Lets `preparing` be called, even if nothing waits. */
  schedule(): void {
    this.#scheduled = true;
    if (this.#running) return;
    this.#running = true;
    this.#clock.setImmediate(() => void this.#run());
  }

  /** Resolves when nothing waits and nothing is under way. */
  async idle(): Promise<void> {
    if (this.#running) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async #run(): Promise<void> {
    while (this.#scheduled || this.#groups.length > 0) {
      this.#scheduled = false;
      await this.#events.preparing(this.#groups.length > 0);
      const group = this.#groups.shift();
      if (group !== undefined) await this.#commit(group);
    }
    this.#running = false;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  async #commit(group: Group): Promise<void> {
    if (this.#refusal !== undefined) return this.#fail(group, unavailable(this.#refusal));
    const full = this.refusal;
    if (full !== undefined) return this.#fail(group, full);
    const failures: (WriteOutcome & { readonly failed: true })[] = [];
    while (failures.length < ATTEMPTS) {
      const before = this.#writer.active;
      const outcome = await this.#writer.write(group, this.#syncedThrough);
      if (!outcome.failed) return this.#succeed(group, outcome);
      failures.push(outcome);
      if (before !== undefined) this.#events.abandoned(before);
    }
    if (failures.every(({ error, removed }) => removed && isFull(error))) {
      this.#fullUntilMs = this.#clock.monotonic() + FULL_BACKOFF_MS;
      this.#setProblem(
        `the disk that holds ${this.#dir} is full: free space on it; until then nothing can be persisted`,
      );
      return this.#fail(group, this.#full());
    }
    const { error } = failures.at(-1)!;
    const why = errorCode(error) ?? String(error);
    this.#setProblem(`writing to ${this.#dir} fails (${why}): check the disk`);
    this.#fail(group, unavailable(`the spool could not write (${why}): the events may be stored or not`, error));
  }

  #succeed(group: Group, { segment, position, created }: WriteOutcome & { readonly failed: false }): void {
    this.#syncedThrough = group.firstSequence + group.count - 1;
    this.#problem = undefined;
    if (created) this.#events.account(SEGMENT_HEADER_BYTES);
    this.#events.written(group, segment, created);
    group.tellSynced(segment, position);
  }

  #fail(group: Group, error: IngestError): void {
    this.#events.account(-group.bytes);
    group.tellFailed(error);
  }

  #setProblem(message: string): void {
    this.#problem = { message, untilMs: this.#clock.monotonic() + PROBLEM_MS };
  }

  #full(): IngestError {
    const message = `the disk that holds the spool (${this.#dir}) is full: free space on it, or send later; nothing of the batch is stored`;
    return new IngestError(Code.RESOURCE_EXHAUSTED, message, { retryable: true, retryDelayMs: FULL_BACKOFF_MS });
  }
}

export function unavailable(message: string, cause?: unknown): IngestError {
  return new IngestError(Code.UNAVAILABLE, message, { retryable: true, cause });
}
