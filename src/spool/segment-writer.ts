// The segment that is being written: one group in, one gathering write and one fdatasync out.
//
// Invariants: a write or a sync that failed is fatal for its segment. The sync is never tried again, because the system
// forgets pages that failed and would then report success; the segment is cut back to what had been synced, and the next
// group goes to a new one.

import type { Clock } from "../clock.ts";
import type { Attribution, Labels } from "../telemetry/attribution.ts";
import type { TimeHistogram } from "../telemetry/histograms.ts";
import { FaultKind, type Faults } from "./faults.ts";
import { type File, type FileSystem, isFull } from "./file-system.ts";
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, type SegmentKind } from "./segment.ts";
import { SegmentState } from "./segment-state.ts";

export interface WriterDependencies {
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly faults: Faults;
  readonly syncTime: TimeHistogram;
  readonly attribution: Attribution;
}

export interface WriterOptions {
  readonly dir: string;
  readonly kind: SegmentKind;
  readonly spoolId: Buffer;
  readonly nextSegmentId: number;
}

/** Entries that share a write and a sync. */
export interface WritableGroup {
  readonly firstSequence: number;
  readonly buffers: readonly Buffer[];
  readonly bytes: number;
}

export type WriteOutcome =
  | {
      readonly failed: false;
      readonly segment: SegmentState;
      /** Where the group's first entry lies. */
      readonly position: number;
      /** Is it the first group of a new segment? */
      readonly created: boolean;
    }
  | {
      readonly failed: true;
      readonly error: unknown;
      /** Is it sure that nothing of the group is left on disk? */
      readonly removed: boolean;
    };

export class SegmentWriter {
  readonly #fs: FileSystem;
  readonly #clock: Clock;
  readonly #faults: Faults;
  readonly #syncTime: TimeHistogram;
  readonly #attribution: Attribution;
  readonly #labels: Labels;
  readonly #options: WriterOptions;
  #nextSegmentId: number;
  #active: { readonly state: SegmentState; readonly file: File } | undefined;

  constructor(dependencies: WriterDependencies, options: WriterOptions) {
    this.#fs = dependencies.fs;
    this.#clock = dependencies.clock;
    this.#faults = dependencies.faults;
    this.#syncTime = dependencies.syncTime;
    this.#attribution = dependencies.attribution;
    this.#labels = dependencies.attribution.ofAll("persist");
    this.#options = options;
    this.#nextSegmentId = options.nextSegmentId;
  }

  /** The segment that the next group goes to; undefined: to a new one. */
  get active(): SegmentState | undefined {
    return this.#active?.state;
  }

  /** The id that no segment has had yet. */
  get nextSegmentId(): number {
    return this.#nextSegmentId;
  }

  /**
   * Writes a group and syncs it; a new segment's name too. Never rejects. One call at a time.
   *
   * @param syncedThrough the highest sequence number that is on disk.
   */
  async write(group: WritableGroup, syncedThrough: number): Promise<WriteOutcome> {
    let stage: "write" | "sync" = FaultKind.WRITE;
    try {
      const created = this.#active === undefined;
      const { file, state } = (this.#active ??= await this.#create(group.firstSequence));
      const buffers = created ? [this.#header(state, syncedThrough), ...group.buffers] : group.buffers;
      this.#attribution.mark(this.#labels);
      await file.write(buffers, state.bytes);
      // Each of these goes on in another turn.
      this.#attribution.mark(this.#labels);
      stage = FaultKind.SYNC;
      const startedAtMs = this.#clock.monotonic();
      await file.sync();
      this.#attribution.mark(this.#labels);
      this.#syncTime.observe(this.#clock.monotonic() - startedAtMs);
      if (created) {
        await this.#fs.syncDirectory(this.#options.dir);
        state.bytes = SEGMENT_HEADER_BYTES;
      }
      const position = state.bytes;
      state.bytes += group.bytes;
      return { failed: false, segment: state, position, created };
    } catch (error) {
      const message = `${this.#options.dir}: ${group.bytes} bytes could not be persisted (${stage})`;
      this.#faults.tell(isFull(error) ? FaultKind.FULL : stage, message, { error });
      return { failed: true, error, removed: await this.#cut(stage) };
    }
  }

  /** Closes the active segment; the next group begins a new one. */
  async retire(): Promise<void> {
    if (this.#active === undefined) return;
    const { state, file } = this.#active;
    this.#active = undefined;
    try {
      await file.close();
    } catch (error) {
      this.#faults.tell(FaultKind.TRIM, `closing ${state.path} failed; everything in it is synced`, { error });
    }
  }

  async #create(firstSequence: number): Promise<{ state: SegmentState; file: File }> {
    const state = new SegmentState(this.#options.dir, this.#nextSegmentId++, firstSequence, 0);
    return { state, file: await this.#fs.open(state.path, "create") };
  }

  #header(state: SegmentState, syncedThrough: number): Buffer {
    return encodeSegmentHeader({
      kind: this.#options.kind,
      segmentId: state.id,
      spoolId: this.#options.spoolId,
      createdAtMs: this.#clock.now(),
      syncedThrough,
    });
  }

  /** Ends the active segment where its synced part ends. True if that is known to be on disk. */
  async #cut(failed: "write" | "sync"): Promise<boolean> {
    if (this.#active === undefined) return true;
    const { state, file } = this.#active;
    try {
      if (state.bytes === 0) {
        await this.#fs.remove(state.path);
        await this.#fs.syncDirectory(this.#options.dir);
      } else {
        await file.truncate(state.bytes);
        if (failed === FaultKind.WRITE) await file.sync();
      }
      return failed === FaultKind.WRITE;
    } catch (error) {
      const message = `what is left of a failed write in ${state.path} could not be removed`;
      this.#faults.tell(FaultKind.TRIM, message, { error });
      return false;
    } finally {
      await this.retire();
    }
  }
}
