// What the entries of a directory add up to: which batches are there, and which of them are done.
//
// Entries come in the order of their numbers. A batch may be done by the checkpoint, which knows of markers whose segments
// are gone, or by a marker further on; so who visits a batch asks its segment again at the end.

import type { Checkpoint } from "./checkpoint.ts";
import {
  decodeDeadLettered,
  decodeDropped,
  decodeForwarded,
  decodeStamped,
  EntryType,
  holdsEvents,
  type Stamp,
} from "./entries.ts";
import { FaultKind, type Faults } from "./faults.ts";
import type { Entry } from "./segment.ts";
import { findSegment, SegmentState } from "./segment-state.ts";

/**
 * Called for each entry that holds events and was not done when it was read; a marker further on may say that it is
 * (`segment.isDone`). The entry is a view, valid during the call.
 */
export type RecoveryVisitor = (entry: Entry, segment: SegmentState) => void;

export class RecoveredEntries {
  /** In order. */
  readonly segments: SegmentState[] = [];
  /** The highest sequence number met, or known to be lost. */
  last = 0;
  readonly #dir: string;
  readonly #checkpoint: Checkpoint | undefined;
  readonly #faults: Faults;
  readonly #visit: RecoveryVisitor;
  readonly #stamps: Stamp[] = [];
  /** Entries of the current segment up to this number are done. */
  #doneThrough = 0;

  constructor(dir: string, checkpoint: Checkpoint | undefined, faults: Faults, visit: RecoveryVisitor) {
    this.#dir = dir;
    this.#checkpoint = checkpoint;
    this.#faults = faults;
    this.#visit = visit;
  }

  /** What the checkpoint says of a segment. */
  listed(segmentId: number): SegmentState | undefined {
    return this.#checkpoint?.segments.find((segment) => segment.id === segmentId);
  }

  /** Begins a segment whose first valid entry has this number. */
  begin(segmentId: number, firstSequence: number): SegmentState {
    const listed = this.listed(segmentId);
    const continues = listed !== undefined && listed.firstSequence <= firstSequence;
    const segment = new SegmentState(this.#dir, segmentId, continues ? listed.firstSequence : firstSequence, 0);
    if (continues) segment.setDoneBits(listed.doneBits);
    // A segment that the checkpoint does not list was done when it was written, and was to be deleted.
    this.#doneThrough = listed === undefined ? (this.#checkpoint?.through ?? 0) : 0;
    this.segments.push(segment);
    return segment;
  }

  /** Takes the next entry of the segment that was begun last. */
  take(entry: Entry, segment: SegmentState): void {
    const { sequence } = entry;
    // Whatever is not a live batch counts as done, so that a marker about a lost batch changes nothing.
    for (let lost = Math.max(this.last + 1, segment.firstSequence); lost < sequence; lost++) segment.setDone(lost);
    this.last = sequence;
    segment.entries = sequence - segment.firstSequence + 1;
    const told = sequence <= this.#doneThrough;
    if (told || !holdsEvents(entry.type)) segment.setDone(sequence);
    else if (segment.isDone(sequence)) return;
    try {
      this.#read(entry, segment, told);
    } catch (error) {
      segment.setDone(sequence);
      const message = `entry ${sequence} in ${segment.path} has a valid checksum and makes no sense; it is passed over`;
      this.#faults.tell(FaultKind.CORRUPT, message, { error });
    }
  }

  /** By the sequence number of the batch, those of batches that are not done. */
  openStamps(): Map<number, Stamp[]> {
    const stamps = new Map<number, Stamp[]>();
    for (const stamp of [...(this.#checkpoint?.stamps ?? []), ...this.#stamps]) {
      const segment = findSegment(this.segments, stamp.batch);
      if (segment === undefined || segment.isDone(stamp.batch)) continue;
      // The last one of a partition is the one that was sent last.
      const others = (stamps.get(stamp.batch) ?? []).filter((other) => other.partition !== stamp.partition);
      stamps.set(stamp.batch, [...others, stamp]);
    }
    return stamps;
  }

  #read(entry: Entry, segment: SegmentState, done: boolean): void {
    switch (entry.type) {
      case EntryType.BATCH:
      case EntryType.LETTER:
        if (done) return;
        this.#visit(entry, segment);
        segment.live++;
        break;
      case EntryType.FORWARDED:
        for (const batch of decodeForwarded(entry.payload)) this.#setDone(batch);
        break;
      case EntryType.DEAD_LETTERED:
        this.#setDone(decodeDeadLettered(entry.payload).batch);
        break;
      case EntryType.DROPPED:
        for (const letter of decodeDropped(entry.payload)) this.#setDone(letter);
        break;
      case EntryType.STAMPED:
        this.#stamps.push(decodeStamped(entry.payload));
        break;
    }
  }

  #setDone(batch: number): void {
    const segment = findSegment(this.segments, batch);
    if (segment === undefined || segment.isDone(batch)) return;
    segment.setDone(batch);
    segment.live--;
  }
}
