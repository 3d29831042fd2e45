// What is known of one segment while its spool is open: how far it goes, and which of its batches are done.
//
// One bit an entry, because a spool may hold millions of batches while Kafka is away.

import { segmentName } from "./segment.ts";

export class SegmentState {
  readonly dir: string;
  readonly id: number;
  /** The number of the first entry; the others follow without gaps. */
  readonly firstSequence: number;
  /** Entries, markers included, that are on disk. */
  entries = 0;
  /** Size of what is on disk, header included. */
  bytes: number;
  /** Entries that hold events and are not done; at 0 a closed segment may go. */
  live = 0;
  #done = new Uint8Array(64);

  constructor(dir: string, id: number, firstSequence: number, bytes: number) {
    this.dir = dir;
    this.id = id;
    this.firstSequence = firstSequence;
    this.bytes = bytes;
  }

  get path(): string {
    return `${this.dir}/${segmentName(this.id)}`;
  }

  isDone(sequence: number): boolean {
    const bit = sequence - this.firstSequence;
    return ((this.#done[bit >>> 3] ?? 0) & (1 << (bit & 7))) !== 0;
  }

  /** Sets the bit alone; who counts `live` is the caller. */
  setDone(sequence: number): void {
    const bit = sequence - this.firstSequence;
    if (bit >>> 3 >= this.#done.length) {
      const grown = new Uint8Array(Math.max(this.#done.length * 2, (bit >>> 3) + 1));
      grown.set(this.#done);
      this.#done = grown;
    }
    this.#done[bit >>> 3]! |= 1 << (bit & 7);
  }

  /** One bit for each entry, lowest bit first; 1: done. */
  get doneBits(): Uint8Array {
    const bits = new Uint8Array((this.entries + 7) >>> 3);
    bits.set(this.#done.subarray(0, bits.length));
    return bits;
  }

  setDoneBits(bits: Uint8Array): void {
    this.#done = new Uint8Array(Math.max(64, bits.length));
    this.#done.set(bits);
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
