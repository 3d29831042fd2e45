// The streams of a connection: those that are open, and what has to be remembered of those that are not.
//
// A frame for a stream that we have reset may have been on its way: it is ignored. For one that the client has reset, it is
// an error of the stream's; for one that has ended, of the connection's (RFC 9113 section 5.1). To tell them apart the last
// resets are remembered, a bounded number of them; where that memory ends, a frame is given the benefit of the doubt.

import { StreamMap } from "./stream-map.ts";

const REMEMBERED_MAX = 256;

/** How a stream that is not open came to be so. */
export type Closed = "ended" | "reset by us" | "reset by the client";

export class StreamTable {
  readonly open = new StreamMap();
  /** The highest stream that the client has opened. */
  lastId = 0;
  readonly #reset = new Map<number, Closed>();
  /** Streams up to this one may have been reset and forgotten. */
  #forgottenId = 0;

  remember(id: number, how: Closed): void {
    this.#reset.set(id, how);
    if (this.#reset.size <= REMEMBERED_MAX) return;
    const oldest = this.#reset.keys().next().value!;
    this.#reset.delete(oldest);
    this.#forgottenId = Math.max(this.#forgottenId, oldest);
  }

  /** @param id of a stream that was opened, and is not open. */
  howClosed(id: number): Closed {
    return this.#reset.get(id) ?? (id <= this.#forgottenId ? "reset by us" : "ended");
  }

  isIdle(id: number): boolean {
    return id > this.lastId || id % 2 === 0;
  }
}
