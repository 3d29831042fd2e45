// Reads spooled batches back, in the order in which the forwarder wants them.
//
// Lanes drain side by side through the same segments, so a read brings a megabyte from the wanted batch on, and what the
// next lanes want is mostly in it. Rejected: keeping the bytes from `append` until they are forwarded; they lie in pooled
// buffers that go back when the batch is acknowledged, and the system's page cache has them anyway.
//
// A batch is copied out of what was read: its producer stamps it, and the same bytes may have to be read again.

import { type BatchEntry, decodeBatch } from "./entries.ts";
import type { FileSystem } from "./file-system.ts";
import type { LaneEntry } from "./lane.ts";
import { decodeEntry } from "./segment.ts";
import type { SegmentState } from "./segment-state.ts";

const READ_BYTES = 1024 * 1024;
const WINDOWS_MAX = 8;

interface Window {
  readonly segment: SegmentState;
  readonly from: number;
  readonly bytes: Buffer;
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
  /** The one used last comes first. */
  #windows: Window[] = [];

  constructor(fs: FileSystem) {
    this.#fs = fs;
  }

  /**
   * The batch, in memory of its own.
   *
   * @returns undefined if it is not loaded: call `load` first.
   * @throws DamagedBatch if its checksum is wrong.
   */
  get(entry: LaneEntry): BatchEntry | undefined {
    const { segment, position, bytes } = entry;
    const i = this.#windows.findIndex(
      (window) =>
        window.segment === segment && window.from <= position && position + bytes <= window.from + window.bytes.length,
    );
    if (i < 0) return undefined;
    const [window] = this.#windows.splice(i, 1) as [Window];
    this.#windows.unshift(window);
    const at = position - window.from;
    const own = Buffer.from(window.bytes.subarray(at, at + bytes));
    const decoded = decodeEntry(own, 0, bytes, position);
    if (decoded === undefined || decoded.sequence !== entry.sequence) {
      this.#windows.shift();
      throw new DamagedBatch(`entry ${entry.sequence} at byte ${position} of ${segment.path} is damaged`, own);
    }
    return decodeBatch(decoded.payload);
  }

  /** Reads the batch and what lies behind it. Rejects if that fails; a file that is shorter than it was is a damaged batch. */
  async load(entry: LaneEntry): Promise<void> {
    const { segment, position } = entry;
    const file = await this.#fs.open(segment.path, "read");
    try {
      const wanted = Math.min(Math.max(READ_BYTES, entry.bytes), segment.bytes - position);
      const bytes = Buffer.allocUnsafeSlow(wanted);
      const read = await file.read(bytes, position);
      if (read < entry.bytes) {
        throw new DamagedBatch(`${segment.path} ends within entry ${entry.sequence}`, bytes.subarray(0, read));
      }
      this.#windows.unshift({ segment, from: position, bytes: bytes.subarray(0, read) });
      if (this.#windows.length > WINDOWS_MAX) this.#windows.pop();
    } finally {
      await file.close();
    }
  }
}
