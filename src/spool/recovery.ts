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
import type { Stamp } from "./entries.ts";
import { FaultKind, type Faults } from "./faults.ts";
import type { File, FileSystem } from "./file-system.ts";
import { copyAside, moveAside, tolerant } from "./quarantine.ts";
import { RecoveredEntries, type RecoveryVisitor } from "./recovered-entries.ts";
import { type Damage, SegmentScanner } from "./scanner.ts";
import {
  decodeEntry,
  decodeSegmentHeader,
  ENTRY_HEADER_BYTES,
  entrySizeAt,
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
import type { SegmentState } from "./segment-state.ts";

export interface Recovered {
  readonly spoolId: Buffer;
  readonly nextSequence: number;
  readonly nextSegmentId: number;
  /** In order; all of them closed. */
  readonly segments: SegmentState[];
  /** By the sequence number of the batch, which is not done. */
  readonly stamps: Map<number, Stamp[]>;
}

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
  #entries: RecoveredEntries;
  /** Undefined: the header is damaged. */
  readonly #headers = new Map<number, SegmentHeader | undefined>();

  constructor(fs: FileSystem, dir: string, kind: SegmentKind, faults: Faults, visit: RecoveryVisitor) {
    this.#fs = fs;
    this.#dir = dir;
    this.#kind = kind;
    this.#faults = faults;
    this.#visit = visit;
    this.#entries = new RecoveredEntries(dir, undefined, faults, visit);
  }

  async run(): Promise<Recovered> {
    this.#checkpoint = await this.#readCheckpoint();
    this.#entries = new RecoveredEntries(this.#dir, this.#checkpoint, this.#faults, this.#visit);
    const names = await this.#fs.list(this.#dir);
    const ids = names.flatMap((name) => segmentIdOf(name) ?? []).sort((a, b) => a - b);
    for (const id of ids) this.#headers.set(id, await this.#readHeader(id));
    const known =
      this.#checkpoint?.spoolId ?? [...this.#headers.values()].find((header) => header !== undefined)?.spoolId;
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
    if (this.#entries.segments.length > 0)
      await this.#sync(this.#dir, { sync: () => this.#fs.syncDirectory(this.#dir) });
    let last = Math.max(this.#entries.last, this.#checkpoint?.through ?? 0);
    for (const id of own) last = Math.max(last, this.#headers.get(id)?.syncedThrough ?? 0);
    return {
      spoolId: known ?? randomBytes(SPOOL_ID_BYTES),
      nextSequence: last + 1,
      nextSegmentId: Math.max(this.#checkpoint?.nextSegmentId ?? 1, (ids.at(-1) ?? 0) + 1),
      segments: this.#entries.segments,
      stamps: this.#entries.openStamps(),
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
    if (header.segmentId === id && header.kind === this.#kind && header.spoolId.equals(known ?? header.spoolId))
      return false;
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
      const mark = header === undefined ? await this.#markWithoutHeader(file, known) : markOf(header.spoolId);
      const scanner = new SegmentScanner(file, SEGMENT_HEADER_BYTES, size, mark, this.#entries.last);
      // A later segment tells what was on disk when it was created. What lies behind that here belongs to a group that
      // failed; if it was acknowledged after all, then because it was written again, there.
      const laterHeader = laterIds.map((later) => this.#headers.get(later)).find((later) => later !== undefined);
      const proven = this.#provenThrough(id, laterHeader);
      const { segment, end } = await this.#scan(id, scanner, file, proven, laterHeader?.syncedThrough ?? Infinity);
      if (header === undefined && segment !== undefined) {
        this.#faults.tell(FaultKind.CORRUPT, `the header of ${path} is damaged; its entries are read all the same`, {});
      }
      const tail = Math.max(0, size - end);
      // What the checkpoint does not list was done; this may be what is left of a segment that could not be written.
      const doneThrough = this.#entries.listed(id) === undefined ? (this.#checkpoint?.through ?? 0) : 0;
      const accountedFor = Math.max(this.#entries.last, doneThrough);
      if (accountedFor < proven) {
        // These bytes had been synced: it is damage, not a torn tail.
        if (tail > 0) await this.#copyAside(id, file, { from: end, to: size }, FaultKind.CORRUPT);
        this.#tellLost(path, accountedFor, proven);
        this.#entries.last = proven;
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

  /**
   * The mark of a segment whose header is damaged. A whole first entry is taken at its word: the spool may have got a new id
   * when the header was found damaged and nothing else knew the old one.
   */
  async #markWithoutHeader(file: File, known: Buffer | undefined): Promise<number> {
    const head = Buffer.alloc(ENTRY_HEADER_BYTES);
    await file.read(head, SEGMENT_HEADER_BYTES);
    const mark = head.readUInt32BE(MARK_OFFSET);
    const size = entrySizeAt(head, 0, mark);
    if (size > 0 && SEGMENT_HEADER_BYTES + size <= (await file.size())) {
      const entry = Buffer.alloc(size);
      await file.read(entry, SEGMENT_HEADER_BYTES);
      if (decodeEntry(entry, 0, size, SEGMENT_HEADER_BYTES) !== undefined) return mark;
    }
    return known === undefined ? mark : markOf(known);
  }

  /** Up to which sequence number this segment had been synced, as far as others tell; 0 if nobody does. */
  #provenThrough(id: number, laterHeader: SegmentHeader | undefined): number {
    const listed = this.#entries.listed(id);
    return Math.max(
      laterHeader?.segmentId === id + 1 ? laterHeader.syncedThrough : 0,
      listed === undefined ? 0 : listed.firstSequence + listed.entries - 1,
    );
  }

  /** What was read may lie in memory only, and from now on it is built upon. */
  async #sync(path: string, what: Pick<File, "sync">): Promise<void> {
    try {
      await what.sync();
    } catch (error) {
      this.#faults.tell(FaultKind.SYNC, `${path} cannot be synced: what is new in it may not survive a power cut`, {
        error,
      });
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
    const entries = this.#entries;
    let segment: SegmentState | undefined;
    let end = scanner.goodEnd;
    let damages: { readonly damage: Damage; readonly after: number }[] = [];
    do {
      for (let found = scanner.take(); found !== undefined; found = scanner.take()) {
        if ("from" in found) {
          damages.push({ damage: found, after: entries.last });
          continue;
        }
        if (found.sequence > limit) return { segment, end };
        if (found.firstOfGroup) {
          // What lies before a group had been synced before the group was written.
          for (const { damage } of damages) await this.#copyAside(id, file, damage, FaultKind.CORRUPT);
          damages = [];
        }
        end = found.position + found.bytes;
        segment ??= entries.begin(id, found.sequence);
        entries.take(found, segment);
      }
    } while (await scanner.load());
    for (const { damage, after } of damages) {
      await this.#copyAside(id, file, damage, after < proven ? FaultKind.CORRUPT : FaultKind.TORN_TAIL);
    }
    return { segment, end };
  }

  /** Segments between two others may be trimmed, and then the checkpoint tells so; else they are lost. */
  #tellMissingBefore(path: string, header: SegmentHeader): void {
    const known = Math.max(this.#entries.last, this.#checkpoint?.through ?? Infinity);
    if (header.syncedThrough > known) this.#tellLost(path, known, header.syncedThrough);
    this.#entries.last = Math.max(this.#entries.last, header.syncedThrough);
  }

  #tellLost(path: string, after: number, through: number): void {
    const message = `${through - after} spool entries in front of or in ${path} are lost: they had been synced and are not there`;
    this.#faults.tell(FaultKind.LOST, message, { firstSequence: after + 1, lastSequence: through });
  }
}

function unsupported(path: string, cause: UnsupportedVersion): Error {
  return new Error(
    `${path}: ${cause.message}. Run the version that wrote it until its spool is drained, or move the directory away`,
    { cause },
  );
}
