// The streams of a connection: those that are open, and what has to be remembered of those that are not.
//
// A frame for a stream that we have reset may have been on its way: it is ignored. A frame for a stream that the client itself has
// ended is an error (RFC 9113 section 5.1). To tell them apart the last resets are remembered, a bounded number of them;
// where that memory ends, a frame is given the benefit of the doubt.

import type { Stream } from "./stream.ts";

const REMEMBERED_MAX = 256;

export class StreamTable {
  readonly open = new Map<number, Stream>();
  /** The highest stream that the client has opened. */
  lastId = 0;
  readonly #reset = new Set<number>();
  /** Streams up to this one may have been reset and forgotten. */
  #forgottenId = 0;

  /** The stream is closed by RST_STREAM, of either side. */
  remember(id: number): void {
    this.#reset.add(id);
    if (this.#reset.size <= REMEMBERED_MAX) return;
    const oldest = this.#reset.values().next().value!;
    this.#reset.delete(oldest);
    this.#forgottenId = Math.max(this.#forgottenId, oldest);
  }

  /** Was this closed stream reset, as far as is known? */
  wasReset(id: number): boolean {
    return id <= this.#forgottenId || this.#reset.has(id);
  }

  isIdle(id: number): boolean {
    return id > this.lastId || id % 2 === 0;
  }
}
