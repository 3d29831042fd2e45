// Reads a directory of segments from outside: no lock, nothing written, beside the process that owns it or without one.
//
// It stops where the last segment ends in something that is no entry (not written yet, or torn), and goes on from there when
// it is asked again. Damage between entries is passed over: who owns the directory tells of it.

import { errorCode, type File, type FileSystem, listIfThere } from "./file-system.ts";
import { SegmentScanner } from "./scanner.ts";
import { decodeSegmentHeader, type Entry, markOf, SEGMENT_HEADER_BYTES, segmentIdOf, segmentName } from "./segment.ts";

export class SegmentsReader {
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #fromLast: boolean;
  #segmentId = 0;
  #position = SEGMENT_HEADER_BYTES;
  #sequence = 0;
  #spoolId: Buffer = Buffer.alloc(0);
  /** A pass over the current segment, from where the last one ended. */
  #pass: { readonly file: File; readonly scanner: SegmentScanner } | undefined;
  /** The segment behind the current one, if it was there when the pass began: then nothing more comes to this one. */
  #next: number | undefined;

  /** @param fromLast begin with the segment that is the last one now: what lies in earlier ones is not of interest. */
  constructor(fs: FileSystem, dir: string, fromLast = false) {
    this.#fs = fs;
    this.#dir = dir;
    this.#fromLast = fromLast;
  }

  /** The random id of the directory's owner, as the last segment told it; empty before the first one. */
  get spoolId(): Buffer {
    return this.#spoolId;
  }

  /** The next entry, a view that is valid until the next call; undefined if there is none now. One call at a time. */
  async next(): Promise<Entry | undefined> {
    for (;;) {
      this.#pass ??= await this.#begin();
      if (this.#pass !== undefined) {
        const { scanner } = this.#pass;
        const found = scanner.take();
        if (found !== undefined && "from" in found) continue;
        if (found !== undefined) {
          this.#position = scanner.goodEnd;
          this.#sequence = scanner.sequence;
          return found;
        }
        if (await scanner.load()) continue;
        await this.close();
      }
      if (this.#next === undefined) return undefined;
      this.#segmentId = this.#next;
      this.#position = SEGMENT_HEADER_BYTES;
    }
  }

  /** Gives the open file back; `next` goes on where it was. */
  async close(): Promise<void> {
    const pass = this.#pass;
    this.#pass = undefined;
    await pass?.file.close();
  }

  /** Undefined if there is nothing to read in the current segment: none yet, trimmed meanwhile, or no header. */
  async #begin(): Promise<{ file: File; scanner: SegmentScanner } | undefined> {
    const ids = (await listIfThere(this.#fs, this.#dir)).flatMap((name) => segmentIdOf(name) ?? []);
    const later = ids.filter((id) => id > this.#segmentId);
    const next = this.#fromLast && this.#segmentId === 0 ? Math.max(...later) : Math.min(...later);
    this.#next = later.length === 0 ? undefined : next;
    if (this.#segmentId === 0) return undefined;
    let file: File;
    try {
      file = await this.#fs.open(`${this.#dir}/${segmentName(this.#segmentId)}`, "read");
    } catch (thrown) {
      if (errorCode(thrown) === "ENOENT") return undefined;
      throw thrown;
    }
    const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
    const header = decodeSegmentHeader(bytes.subarray(0, await file.read(bytes, 0)));
    if (header === undefined) {
      await file.close();
      return undefined;
    }
    this.#spoolId = header.spoolId;
    const mark = markOf(header.spoolId);
    return { file, scanner: new SegmentScanner(file, this.#position, await file.size(), mark, this.#sequence) };
  }
}
