// Reads spooled batches back, in the order in which the forwarder wants them.
//
// Lanes drain side by side through the same segments, so a read brings a megabyte from the wanted batch on, and what the
// next lanes want is mostly in it. Rejected: keeping the bytes from `append` until they are forwarded; they lie in pooled
// buffers that go back when the batch is acknowledged, and the system's page cache has them anyway.
//
// A batch is copied out of what was read: its producer stamps it, and the same bytes may have to be read again. What is read
// into, and what is copied to, are buffers that are used again: fresh ones, a megabyte a read and one a batch, made the
// garbage collector the largest cost of PERSISTED events (docs/benchmarks.md, "Where the time goes").

import { BufferPool } from "../ingest/buffer-pool.ts";
import { type BatchEntry, decodeBatch } from "./entries.ts";
import type { File, FileSystem } from "./file-system.ts";
import type { LaneEntry } from "./lane.ts";
import { decodeEntry } from "./segment.ts";
import type { SegmentState } from "./segment-state.ts";

const READ_BYTES = 1024 * 1024;
const WINDOWS_MAX = 8;
/** Lanes are seldom in more segments than these at a time. */
const FILES_MAX = 2;
/** What is kept for batches to come; as much as is under way to Kafka when all goes well. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024;

interface Window {
  readonly segment: SegmentState;
  readonly from: number;
  /** A view of `buffer`. */
  readonly bytes: Buffer;
  readonly buffer: Buffer;
}

/** A batch whose bytes lie in a buffer that is lent. */
export interface LentBatch extends BatchEntry {
  readonly buffer: Buffer;
}

/** The bytes on disk are not those that were written. */
export class DamagedBatch extends Error {
  override readonly name = "DamagedBatch";
  /** The entry as it was read. */
  readonly bytes: Buffer;

  constructor(message: string, bytes: Buffer) {
    super(message);
    this.bytes = bytes;
  }
}

export class BatchReader {
  readonly #fs: FileSystem;
  readonly #pool = new BufferPool(KEPT_BYTES_MAX);
  /** The one used last comes first. */
  #windows: Window[] = [];
  /** Of READ_BYTES each. */
  readonly #spare: Buffer[] = [];
  /** The one used last comes last. */
  readonly #files = new Map<SegmentState, File>();

  constructor(fs: FileSystem) {
    this.#fs = fs;
  }

  /**
   * The batch, in memory of its own until it is given back.
   *
   * @returns undefined if it is not loaded: call `load` first.
   * @throws DamagedBatch if its checksum is wrong.
   */
  get(entry: LaneEntry): LentBatch | undefined {
    const { segment, position, bytes: size } = entry;
    const i = this.#windows.findIndex(
      ({ segment: other, from, bytes }) =>
        other === segment && from <= position && position + size <= from + bytes.length,
    );
    if (i < 0) return undefined;
    const [window] = this.#windows.splice(i, 1) as [Window];
    const at = position - window.from;
    const decoded = decodeEntry(window.bytes, at, size, position);
    if (decoded === undefined || decoded.sequence !== entry.sequence) {
      const own = Buffer.from(window.bytes.subarray(at, at + size));
      this.#retire(window);
      throw new DamagedBatch(`entry ${entry.sequence} at byte ${position} of ${segment.path} is damaged`, own);
    }
    this.#windows.unshift(window);
    const batch = decodeBatch(decoded.payload);
    const buffer = this.#pool.take(batch.bytes.length);
    batch.bytes.copy(buffer);
    return { ...batch, bytes: buffer.subarray(0, batch.bytes.length), buffer };
  }

  /** Nobody has a view of the batch's bytes any more. */
  give({ buffer }: LentBatch): void {
    this.#pool.give(buffer);
  }

  /** Reads the batch and what lies behind it. Rejects if that fails; a file that is shorter than it was is a damaged batch. */
  async load(entry: LaneEntry): Promise<void> {
    const { segment, position } = entry;
    const file = await this.#open(segment);
    const wanted = Math.min(Math.max(READ_BYTES, entry.bytes), segment.bytes - position);
    const buffer =
      wanted > READ_BYTES ? Buffer.allocUnsafeSlow(wanted) : (this.#spare.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES));
    const bytes = buffer.subarray(0, wanted);
    let read: number;
    try {
      read = await file.read(bytes, position);
    } catch (thrown) {
      // Whatever is wrong with it, the next attempt begins anew.
      await this.#close(segment);
      throw thrown;
    }
    if (read < entry.bytes) {
      throw new DamagedBatch(
        `${segment.path} ends within entry ${entry.sequence}`,
        Buffer.from(bytes.subarray(0, read)),
      );
    }
    this.#windows.unshift({ segment, from: position, bytes: bytes.subarray(0, read), buffer });
    if (this.#windows.length > WINDOWS_MAX) this.#retire(this.#windows.pop()!);
  }

  /** Closes files of which nothing is wanted any more: an open file keeps its space on the disk although it is deleted. */
  async closeDone(): Promise<void> {
    for (const segment of this.#files.keys()) if (segment.live === 0) await this.#close(segment);
  }

  async dispose(): Promise<void> {
    for (const segment of this.#files.keys()) await this.#close(segment);
  }

  #retire({ buffer }: Window): void {
    if (buffer.length === READ_BYTES && this.#spare.length < WINDOWS_MAX) this.#spare.push(buffer);
  }

  async #open(segment: SegmentState): Promise<File> {
    const known = this.#files.get(segment);
    if (known !== undefined) {
      this.#files.delete(segment);
      this.#files.set(segment, known);
      return known;
    }
    const file = await this.#fs.open(segment.path, "read");
    this.#files.set(segment, file);
    for (const oldest of this.#files.keys()) {
      if (this.#files.size <= FILES_MAX) break;
      await this.#close(oldest);
    }
    return file;
  }

  /** Never rejects: what was read is checked, and nothing was written. */
  async #close(segment: SegmentState): Promise<void> {
    const file = this.#files.get(segment);
    this.#files.delete(segment);
    await file?.close().catch(() => {});
  }
}
