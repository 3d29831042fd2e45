// Reads the entries of one segment in order, and finds its way past damage.
//
// Rejected: one read per entry (a system call for each) and one read of the whole file (its size is a setting). Reads are a
// megabyte long, entries are taken out of them without a promise, and only an entry larger than that gets a larger buffer.
//
// Invariants: an entry is reported only if its checksum, its mark and its length are right and its number is higher than
// that of the entry before it; so bytes of an older segment inside of a payload are never taken for entries. Damage is
// reported as one range up to the next entry; damage up to the end of the file is left to `tail`.

import type { File } from "./file-system.ts";
import { decodeEntry, type Entry, ENTRY_HEADER_BYTES, entrySizeAt, MARK_OFFSET } from "./segment.ts";

const READ_BYTES = 1024 * 1024;

/** A range of bytes that holds no valid entry, in front of one that is. */
export interface Damage {
  readonly from: number;
  readonly to: number;
}

export class SegmentScanner {
  readonly #file: File;
  readonly #size: number;
  readonly #mark: number;
  readonly #markBytes = Buffer.alloc(4);
  /** The end of the last valid entry, or where the scan began. */
  #goodEnd: number;
  #sequence: number;
  /** The buffer holds the bytes [start, start + length) of the file; `position` is where to look next. */
  #buffer: Buffer;
  #start: number;
  #length = 0;
  #position: number;
  /** How many bytes from `position` on are needed to go on. */
  #need = ENTRY_HEADER_BYTES;
  #found: Entry | undefined;

  /**
   * @param position of the first entry, or where an earlier scan ended.
   * @param size of the file; bytes behind it are not looked at.
   * @param after entries with this number or a lower one are none.
   */
  constructor(file: File, position: number, size: number, mark: number, after: number) {
    this.#file = file;
    this.#size = size;
    this.#mark = mark;
    this.#markBytes.writeUInt32BE(mark);
    this.#sequence = after;
    this.#goodEnd = position;
    this.#start = position;
    this.#position = position;
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(ENTRY_HEADER_BYTES, Math.min(READ_BYTES, size - position)));
  }

  /** The end of the last valid entry. What lies behind it, if anything, is no entry: a torn tail, damage, or not written yet. */
  get goodEnd(): number {
    return this.#goodEnd;
  }

  /** The number of the last valid entry. */
  get sequence(): number {
    return this.#sequence;
  }

  /**
   * The next entry, or the damage in front of it, as far as it is loaded. An entry is a view: it is valid until `load`.
   *
   * @returns undefined when nothing more is loaded: call `load`.
   */
  take(): Entry | Damage | undefined {
    if (this.#found === undefined) {
      this.#found = this.#search();
      if (this.#found === undefined) return undefined;
      if (this.#found.position > this.#goodEnd) return { from: this.#goodEnd, to: this.#found.position };
    }
    const entry = this.#found;
    this.#found = undefined;
    this.#goodEnd = entry.position + entry.bytes;
    this.#position = this.#goodEnd;
    this.#sequence = entry.sequence;
    this.#need = ENTRY_HEADER_BYTES;
    return entry;
  }

  /** Loads more. False at the end of the file: everything that is an entry was taken. */
  async load(): Promise<boolean> {
    const end = this.#start + this.#length;
    const needed = this.#position + this.#need;
    if (needed > this.#size || end >= this.#size) return false;
    const kept = this.#buffer.subarray(this.#position - this.#start, this.#length);
    if (this.#need > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(this.#need);
      kept.copy(grown);
      this.#buffer = grown;
    } else {
      kept.copy(this.#buffer);
    }
    this.#start = this.#position;
    this.#length = kept.length;
    const room = Math.min(this.#buffer.length - this.#length, this.#size - this.#start - this.#length);
    const read = await this.#file.read(this.#buffer.subarray(this.#length, this.#length + room), end);
    this.#length += read;
    return read > 0;
  }

  /** From `position` on, the first valid entry that is loaded whole. */
  #search(): Entry | undefined {
    const loaded = this.#buffer.subarray(0, this.#length);
    for (;;) {
      const at = this.#position - this.#start;
      if (at + ENTRY_HEADER_BYTES > this.#length) return this.#lacking(ENTRY_HEADER_BYTES);
      const size = entrySizeAt(loaded, at, this.#mark);
      if (size > 0 && this.#position + size <= this.#size) {
        if (at + size > this.#length) return this.#lacking(size);
        const entry = decodeEntry(loaded, at, size, this.#position);
        if (entry !== undefined && entry.sequence > this.#sequence) return entry;
      }
      // Not an entry: go to the next place that has the mark where an entry has it.
      const mark = loaded.indexOf(this.#markBytes, at + 1 + MARK_OFFSET);
      this.#position =
        this.#start + (mark < 0 ? Math.max(at + 1, this.#length - ENTRY_HEADER_BYTES + 1) : mark - MARK_OFFSET);
    }
  }

  #lacking(bytes: number): undefined {
    this.#need = bytes;
    return undefined;
  }
}
