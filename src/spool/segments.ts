// The segments of a spool that are on disk, which of their batches are done, and what is deleted because of that.
//
// Invariants: a segment is deleted only when nothing in it is open, and only after a checkpoint that repeats what its
// markers say is on disk. One trim or checkpoint runs at a time.

import { writeCheckpoint } from "./checkpoint.ts";
import type { Stamp } from "./entries.ts";
import { FaultKind, type Faults } from "./faults.ts";
import { errorCode, type FileSystem, isFull } from "./file-system.ts";
import { findSegment, type SegmentState } from "./segment-state.ts";

/** What a checkpoint tells beside the segments. */
export interface LogPosition {
  readonly spoolId: Buffer;
  readonly syncedThrough: number;
  readonly nextSegmentId: number;
  /** The segment that is being written, which must stay. */
  readonly active: SegmentState | undefined;
}

export class Segments {
  readonly #fs: FileSystem;
  readonly #faults: Faults;
  readonly #dir: string;
  readonly #position: () => LogPosition;
  readonly #deleted: (bytes: number) => void;
  /** In order. */
  #list: SegmentState[];
  readonly #stamps: Map<number, Stamp[]>;
  #running: Promise<void> = Promise.resolve();
  /** Has anything changed since the last checkpoint? */
  #changed = false;
  /** Did a fault keep segments from being deleted that are done? */
  #unfinished = false;

  /**
   * @param position asked at the moment of each checkpoint.
   * @param deleted told the size of each segment that was deleted.
   */
  constructor(
    dependencies: { readonly fs: FileSystem; readonly faults: Faults },
    recovered: { readonly dir: string; readonly segments: SegmentState[]; readonly stamps: Map<number, Stamp[]> },
    position: () => LogPosition,
    deleted: (bytes: number) => void,
  ) {
    this.#fs = dependencies.fs;
    this.#faults = dependencies.faults;
    this.#dir = recovered.dir;
    this.#list = recovered.segments;
    this.#stamps = recovered.stamps;
    this.#position = position;
    this.#deleted = deleted;
  }

  get stamps(): ReadonlyMap<number, readonly Stamp[]> {
    return this.#stamps;
  }

  /** The last stamp of a batch's partition is the one that counts. */
  addStamp(stamp: Stamp): void {
    const others = (this.#stamps.get(stamp.batch) ?? []).filter(({ partition }) => partition !== stamp.partition);
    this.#stamps.set(stamp.batch, [...others, stamp]);
    this.#changed = true;
  }

  /** Is the entry with this number on disk, as far as it was synced and not deleted? */
  has(sequence: number): boolean {
    return findSegment(this.#list, sequence) !== undefined;
  }

  /** Counts a group that was written. */
  extend(segment: SegmentState, entries: number, live: number, created: boolean): void {
    if (created) this.#list.push(segment);
    segment.entries += entries;
    segment.live += live;
    this.#changed = true;
  }

  setDone(segment: SegmentState, sequence: number): void {
    segment.setDone(sequence);
    segment.live--;
    this.#stamps.delete(sequence);
    this.#changed = true;
    if (segment.live === 0 && segment !== this.#position().active) void this.trim();
  }

  /** Deletes what may go. Never rejects. */
  trim(): Promise<void> {
    this.#running = this.#running.then(() => this.#trim());
    return this.#running;
  }

  /** Tries again to delete what could not be deleted; nothing else may come that would. */
  tidy(): void {
    if (this.#unfinished) void this.trim();
  }

  /** Trims, and brings the checkpoint up to date. Never rejects. */
  settle(): Promise<void> {
    this.#running = this.trim().then(async () => {
      if (this.#changed) await this.#checkpoint(this.#list);
    });
    return this.#running;
  }

  async #trim(): Promise<void> {
    this.#unfinished = false;
    for (;;) {
      const { active } = this.#position();
      const gone = this.#list.filter((segment) => segment.live === 0 && segment !== active);
      if (gone.length === 0) return;
      const outcome = await this.#checkpoint(this.#list.filter((segment) => !gone.includes(segment)));
      if (outcome === "failed") {
        this.#unfinished = true;
        return;
      }
      // On a full disk the checkpoint fits only after something is deleted. A crash in between costs duplicates, not events.
      for (const segment of outcome === "full" ? gone.slice(0, 1) : gone) {
        if (!(await this.#delete(segment))) {
          this.#unfinished = true;
          return;
        }
      }
    }
  }

  async #delete(segment: SegmentState): Promise<boolean> {
    try {
      await this.#fs.remove(segment.path);
    } catch (error) {
      if (errorCode(error) !== "ENOENT") {
        this.#faults.tell(FaultKind.TRIM, `${segment.path}, which is done, could not be deleted`, { error });
        return false;
      }
    }
    this.#list = this.#list.filter((other) => other !== segment);
    this.#deleted(segment.bytes);
    return true;
  }

  async #checkpoint(segments: readonly SegmentState[]): Promise<"written" | "full" | "failed"> {
    const { spoolId, syncedThrough, nextSegmentId } = this.#position();
    const lowWater = segments.find((segment) => segment.live > 0)?.firstSequence ?? syncedThrough + 1;
    const stamps = [...this.#stamps.values()].flat();
    this.#changed = false;
    try {
      await writeCheckpoint(this.#fs, this.#dir, {
        spoolId,
        through: syncedThrough,
        lowWater,
        nextSegmentId,
        segments,
        stamps,
      });
      return "written";
    } catch (error) {
      this.#changed = true;
      this.#faults.tell(FaultKind.CHECKPOINT, `the checkpoint in ${this.#dir} could not be written`, { error });
      return isFull(error) ? "full" : "failed";
    }
  }
}
