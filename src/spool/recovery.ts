// Opens what an earlier process left in a directory: which batches are there, which are not done, and what is damaged.
//
// Rejected: trusting the checkpoint for where to start reading. It says what is done, never what is there; every entry on
// disk is read and its checksum checked, at the speed of the disk, so that damage is found while somebody is told.
//
// Invariants: nothing that reads as a valid entry is dropped, wherever it lies; a tail is cut only where nothing valid
// follows; damaged bytes are copied to `quarantine/` before their place may be cut or deleted; and only a directory that
// cannot be worked in, or a format that this version cannot read, stops the start.

import { randomBytes } from "node:crypto";
import { type Checkpoint, readCheckpoint } from "./checkpoint.ts";
import { decodeDeadLettered, decodeForwarded, decodeStamped, EntryType, holdsEvents, type Stamp } from "./entries.ts";
import { FaultKind, type Faults } from "./faults.ts";
import type { File, FileSystem } from "./file-system.ts";
import { copyAside, moveAside, tolerant } from "./quarantine.ts";
import { type Damage, SegmentScanner } from "./scanner.ts";
import {
  decodeSegmentHeader,
  type Entry,
  ENTRY_HEADER_BYTES,
  MARK_OFFSET,
  markOf,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentIdOf,
  type SegmentKind,
  segmentName,
  SPOOL_ID_BYTES,
  UnsupportedVersion,
} from "./segment.ts";
import { SegmentState } from "./segment-state.ts";

export interface Recovered {
  readonly spoolId: Buffer;
  readonly nextSequence: number;
  readonly nextSegmentId: number;
  /** In order; all of them closed. */
  readonly segments: SegmentState[];
  /** By the sequence number of the batch, which is not done. */
  readonly stamps: Map<number, Stamp[]>;
}

/**
 * Called for each entry that holds events and was not done when it was read; a marker further on may say that it is
 * (`segment.isDone`). The entry is a view, valid during the call.
 */
export type RecoveryVisitor = (entry: Entry, segment: SegmentState) => void;

export async function recover(
  fs: FileSystem,
  dir: string,
  kind: SegmentKind,
  faults: Faults,
  visit: RecoveryVisitor,
): Promise<Recovered> {
  const recovery = new Recovery(fs, dir, kind, faults, visit);
  return recovery.run();
}

class Recovery {
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #kind: SegmentKind;
  readonly #faults: Faults;
  readonly #visit: RecoveryVisitor;
  #checkpoint: Checkpoint | undefined;
  /** Undefined: the header is damaged. */
  readonly #headers = new Map<number, SegmentHeader | undefined>();
  readonly #segments: SegmentState[] = [];
  readonly #stamps: Stamp[] = [];
  /** The highest sequence number met, or known to be lost. */
  #last = 0;

  constructor(fs: FileSystem, dir: string, kind: SegmentKind, faults: Faults, visit: RecoveryVisitor) {
    this.#fs = fs;
    this.#dir = dir;
    this.#kind = kind;
    this.#faults = faults;
    this.#visit = visit;
  }

  async run(): Promise<Recovered> {
    this.#checkpoint = await this.#readCheckpoint();
    const names = await this.#fs.list(this.#dir);
    const ids = names.flatMap((name) => segmentIdOf(name) ?? []).sort((a, b) => a - b);
    for (const id of ids) this.#headers.set(id, await this.#readHeader(id));
    const known = this.#checkpoint?.spoolId ?? [...this.#headers.values()].find((header) => header !== undefined)?.spoolId;
    for (const listed of this.#checkpoint?.segments ?? []) {
      if (this.#headers.has(listed.id)) continue;
      this.#faults.tell(FaultKind.LOST, `the spool segment ${listed.path} is missing: what it held is lost`, {});
    }
    const own: number[] = [];
    for (const id of ids) {
      const header = this.#headers.get(id);
      if (header === undefined || !this.#isForeign(id, header, known)) own.push(id);
      else await moveAside(this.#fs, this.#dir, segmentName(id));
    }
    for (const [i, id] of own.entries()) await this.#readSegment(id, known, own.slice(i + 1));
    let last = Math.max(this.#last, this.#checkpoint?.through ?? 0);
    for (const id of own) last = Math.max(last, this.#headers.get(id)?.syncedThrough ?? 0);
    return {
      spoolId: known ?? randomBytes(SPOOL_ID_BYTES),
      nextSequence: last + 1,
      nextSegmentId: Math.max(this.#checkpoint?.nextSegmentId ?? 1, (ids.at(-1) ?? 0) + 1),
      segments: this.#segments,
      stamps: this.#openStamps(),
    };
  }

  async #readCheckpoint(): Promise<Checkpoint | undefined> {
    let checkpoint: Checkpoint | "missing" | "damaged";
    let error: unknown;
    try {
      checkpoint = await readCheckpoint(this.#fs, this.#dir);
    } catch (thrown) {
      if (thrown instanceof UnsupportedVersion) throw unsupported(this.#dir, thrown);
      error = thrown;
      checkpoint = "damaged";
    }
    if (checkpoint === "damaged") {
      const message = `the checkpoint in ${this.#dir} is damaged: batches that are in Kafka already may be sent again`;
      this.#faults.tell(FaultKind.CHECKPOINT, message, { error });
    }
    return typeof checkpoint === "string" ? undefined : checkpoint;
  }

  async #readHeader(id: number): Promise<SegmentHeader | undefined> {
    const file = tolerant(await this.#fs.open(`${this.#dir}/${segmentName(id)}`, "read"));
    try {
      const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
      const read = await file.read(bytes, 0);
      return decodeSegmentHeader(bytes.subarray(0, read));
    } catch (thrown) {
      if (thrown instanceof UnsupportedVersion) throw unsupported(`${this.#dir}/${segmentName(id)}`, thrown);
      throw thrown;
    } finally {
      await file.close();
    }
  }

  #isForeign(id: number, header: SegmentHeader, known: Buffer | undefined): boolean {
    if (header.segmentId === id && header.kind === this.#kind && header.spoolId.equals(known ?? header.spoolId)) return false;
    const message = `${this.#dir}/${segmentName(id)} is not a segment of this spool; it is moved to quarantine/. If its batches are wanted, put it, with the files that belong to it, into a directory of its own beside this one`;
    this.#faults.tell(FaultKind.FOREIGN, message, {});
    return true;
  }

  async #readSegment(id: number, known: Buffer | undefined, laterIds: readonly number[]): Promise<void> {
    const path = `${this.#dir}/${segmentName(id)}`;
    const header = this.#headers.get(id);
    const file = tolerant(await this.#fs.open(path, "update"));
    try {
      const size = await file.size();
      if (header !== undefined) this.#tellMissingBefore(path, header);
      const mark = known === undefined ? await markOfFirstEntry(file) : markOf(known);
      const scanner = new SegmentScanner(file, SEGMENT_HEADER_BYTES, size, mark, header?.syncedThrough ?? this.#last);
      // A later segment tells what was on disk when it was created. What lies behind that here belongs to a group that
      // failed; if it was acknowledged after all, then because it was written again, there.
      const laterHeader = laterIds.map((later) => this.#headers.get(later)).find((later) => later !== undefined);
      const proven = this.#provenThrough(id, laterHeader);
      const { segment, end } = await this.#scan(id, scanner, file, proven, laterHeader?.syncedThrough ?? Infinity);
      if (header === undefined && segment !== undefined) {
        this.#faults.tell(FaultKind.CORRUPT, `the header of ${path} is damaged; its entries are read all the same`, {});
      }
      const tail = Math.max(0, size - end);
      if (this.#last < proven) {
        // These bytes had been synced: it is damage, not a torn tail.
        if (tail > 0) await this.#copyAside(id, file, { from: end, to: size }, FaultKind.CORRUPT);
        this.#tellLost(path, this.#last, proven);
        this.#last = proven;
      } else if (tail > 0) {
        const message = `${path} ends in a write that was never acknowledged; it is cut`;
        this.#faults.tell(FaultKind.TORN_TAIL, message, { bytes: tail });
      }
      if (segment === undefined) {
        await this.#fs.remove(path);
        await this.#fs.syncDirectory(this.#dir);
        return;
      }
      segment.bytes = end;
      if (tail > 0) await file.truncate(end);
      await this.#sync(path, file);
    } finally {
      await file.close();
    }
  }

  /** Up to which sequence number this segment had been synced, as far as others tell; 0 if nobody does. */
  #provenThrough(id: number, laterHeader: SegmentHeader | undefined): number {
    const listed = this.#listed(id);
    return Math.max(
      laterHeader?.segmentId === id + 1 ? laterHeader.syncedThrough : 0,
      listed === undefined ? 0 : listed.firstSequence + listed.entries - 1,
    );
  }

  #listed(id: number): SegmentState | undefined {
    return this.#checkpoint?.segments.find((segment) => segment.id === id);
  }

  /** What was read may lie in memory only, and from now on it is built upon. */
  async #sync(path: string, file: File): Promise<void> {
    try {
      await file.sync();
    } catch (error) {
      this.#faults.tell(FaultKind.SYNC, `${path} cannot be synced: the end of it may not survive a power cut`, { error });
    }
  }

  #copyAside(segmentId: number, file: File, damage: Damage, kind: FaultKind): Promise<void> {
    return copyAside(this.#fs, this.#dir, file, { segmentId, ...damage }, kind, this.#faults);
  }

  /** Reads a segment's entries; `end` is where the last one that counts ends. */
  async #scan(
    id: number,
    scanner: SegmentScanner,
    file: File,
    proven: number,
    limit: number,
  ): Promise<{ readonly segment: SegmentState | undefined; readonly end: number }> {
    const listed = this.#listed(id);
    let segment: SegmentState | undefined;
    let end = scanner.goodEnd;
    let damages: { readonly damage: Damage; readonly after: number }[] = [];
    do {
      for (let found = scanner.take(); found !== undefined; found = scanner.take()) {
        if ("from" in found) {
          damages.push({ damage: found, after: this.#last });
          continue;
        }
        if (found.sequence > limit) return { segment, end };
        if (found.firstOfGroup) {
          // What lies before a group had been synced before the group was written.
          for (const { damage } of damages) await this.#copyAside(id, file, damage, FaultKind.CORRUPT);
          damages = [];
        }
        end = found.position + found.bytes;
        // Written twice, because the first segment failed: it is here already.
        if (found.sequence <= this.#last) continue;
        if (segment === undefined) {
          const continues = listed !== undefined && listed.firstSequence <= found.sequence;
          segment = new SegmentState(this.#dir, id, continues ? listed.firstSequence : found.sequence, 0);
          if (continues) segment.setDoneBits(listed.doneBits);
          this.#segments.push(segment);
        }
        this.#take(found, segment, listed !== undefined);
      }
    } while (await scanner.load());
    for (const { damage, after } of damages) {
      await this.#copyAside(id, file, damage, after < proven ? FaultKind.CORRUPT : FaultKind.TORN_TAIL);
    }
    return { segment, end };
  }

  #take(entry: Entry, segment: SegmentState, listed: boolean): void {
    // Whatever is not a live batch counts as done, so that a marker about a lost batch changes nothing.
    for (let lost = Math.max(this.#last + 1, segment.firstSequence); lost < entry.sequence; lost++) segment.setDone(lost);
    this.#last = entry.sequence;
    segment.entries = entry.sequence - segment.firstSequence + 1;
    if (holdsEvents(entry.type)) {
      const told = entry.sequence <= (this.#checkpoint?.through ?? 0);
      if (told && !listed) segment.setDone(entry.sequence);
      if (segment.isDone(entry.sequence)) return;
    } else {
      segment.setDone(entry.sequence);
    }
    try {
      this.#read(entry, segment);
    } catch (error) {
      segment.setDone(entry.sequence);
      const message = `entry ${entry.sequence} in ${segment.path} has a valid checksum and makes no sense; it is passed over`;
      this.#faults.tell(FaultKind.CORRUPT, message, { error });
    }
  }

  #read(entry: Entry, segment: SegmentState): void {
    switch (entry.type) {
      case EntryType.BATCH:
      case EntryType.LETTER:
        this.#visit(entry, segment);
        segment.live++;
        break;
      case EntryType.FORWARDED:
        for (const batch of decodeForwarded(entry.payload)) this.#setDone(batch);
        break;
      case EntryType.DEAD_LETTERED:
        this.#setDone(decodeDeadLettered(entry.payload).batch);
        break;
      case EntryType.STAMPED:
        this.#stamps.push(decodeStamped(entry.payload));
        break;
    }
  }

  #setDone(batch: number): void {
    const segment = findSegment(this.#segments, batch);
    if (segment === undefined || segment.isDone(batch)) return;
    segment.setDone(batch);
    segment.live--;
  }

  #openStamps(): Map<number, Stamp[]> {
    const stamps = new Map<number, Stamp[]>();
    for (const stamp of [...(this.#checkpoint?.stamps ?? []), ...this.#stamps]) {
      const segment = findSegment(this.#segments, stamp.batch);
      if (segment === undefined || segment.isDone(stamp.batch)) continue;
      // The last one of a partition is the one that was sent last.
      const others = (stamps.get(stamp.batch) ?? []).filter((other) => other.partition !== stamp.partition);
      stamps.set(stamp.batch, [...others, stamp]);
    }
    return stamps;
  }

  /** Segments between two others may be trimmed, and then the checkpoint tells so; else they are lost. */
  #tellMissingBefore(path: string, header: SegmentHeader): void {
    const known = Math.max(this.#last, this.#checkpoint?.through ?? Infinity);
    if (header.syncedThrough > known) this.#tellLost(path, known, header.syncedThrough);
    this.#last = Math.max(this.#last, header.syncedThrough);
  }

  #tellLost(path: string, after: number, through: number): void {
    const message = `${through - after} spool entries in front of or in ${path} are lost: they had been synced and are not there`;
    this.#faults.tell(FaultKind.LOST, message, { firstSequence: after + 1, lastSequence: through });
  }
}

/** The segment that holds the entry with this number, of segments in order; undefined if none does. */
export function findSegment(segments: readonly SegmentState[], sequence: number): SegmentState | undefined {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (segments[middle]!.firstSequence <= sequence) low = middle + 1;
    else high = middle;
  }
  const segment = segments[low - 1];
  return segment !== undefined && sequence < segment.firstSequence + segment.entries ? segment : undefined;
}

/** With neither a checkpoint nor a header that tells the spool's id, the first entry is taken at its word; its checksum decides. */
async function markOfFirstEntry(file: { read(buffer: Buffer, position: number): Promise<number> }): Promise<number> {
  const bytes = Buffer.alloc(ENTRY_HEADER_BYTES);
  await file.read(bytes, SEGMENT_HEADER_BYTES);
  return bytes.readUInt32BE(MARK_OFFSET);
}

function unsupported(path: string, cause: UnsupportedVersion): Error {
  return new Error(
    `${path}: ${cause.message}. Run the version that wrote it until its spool is drained, or move the directory away`,
    { cause },
  );
}
